# SPDX-License-Identifier: Apache-2.0
# C sources -> one bitcode file per triple, embedded into a library.
#
# The recipe is the one whose effects were measured: clang's own optimiser is kept
# out (it would vectorise for the lowest common processor), then a light pre-link
# inlines the helpers, so that hadmcc can specialise what is left for a processor
# and for literal parameters.

# Triples that hadmcc carries the kernel library and the runtime for.
set(HADMC_TRIPLES x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu)

set(BITCODE_FLAGS -std=gnu11 -O2 -Xclang -disable-llvm-passes -ffreestanding -fno-builtin
    -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-strict-aliasing
    -fno-unwind-tables -fno-asynchronous-unwind-tables -Wno-psabi)
set(BITCODE_PRELINK
    "always-inline,function(sroa,early-cse,simplifycfg,instcombine<no-verify-fixpoint>,simplifycfg),globaldce")

# bitcode_link(NAME TRIPLE OUT SOURCES... ): OUT is set to the linked file's path.
# Sources are named relative to the source tree, so no absolute path gets in.
function(bitcode_link name triple out)
  set(parts)
  file(GLOB headers CONFIGURE_DEPENDS
       ${CMAKE_SOURCE_DIR}/kernels/*.h ${CMAKE_SOURCE_DIR}/kernels/*.def
       ${CMAKE_SOURCE_DIR}/runtime/*.h)
  foreach(source ${ARGN})
    string(REPLACE "/" "_" part ${source})
    set(part ${CMAKE_CURRENT_BINARY_DIR}/bitcode/${triple}/${part}.bc)
    add_custom_command(OUTPUT ${part}
      COMMAND ${CLANG} --target=${triple} ${BITCODE_FLAGS} -I. -emit-llvm -c ${source} -o ${part}.raw
      COMMAND ${LLVM_OPT} -passes=${BITCODE_PRELINK} ${part}.raw -o ${part}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
      DEPENDS ${CMAKE_SOURCE_DIR}/${source} ${headers}
      COMMENT "Bitcode of ${source} for ${triple}" VERBATIM)
    list(APPEND parts ${part})
  endforeach()
  set(linked ${CMAKE_CURRENT_BINARY_DIR}/bitcode/${name}-${triple}.bc)
  add_custom_command(OUTPUT ${linked}
    COMMAND ${LLVM_LINK} ${parts} -o ${linked}
    DEPENDS ${parts}
    COMMENT "Bitcode ${name} for ${triple}" VERBATIM)
  set(${out} ${linked} PARENT_SCOPE)
endfunction()
