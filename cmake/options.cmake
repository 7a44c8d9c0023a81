# SPDX-License-Identifier: Apache-2.0
# Warnings, sanitizers and the numeric environment of every target of the build.
option(HADMC_SANITIZE "Address and undefined-behaviour sanitizers" OFF)
option(HADMC_MPI "A search on several machines, where MPI is found" ON)
option(HADMC_FUZZ "libFuzzer targets (clang)" OFF)

# Floats mean what is written: no contraction into fma, anywhere.
add_compile_options(-ffp-contract=off)
add_compile_options("$<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wshadow;-Wconversion;-Wno-sign-conversion;-Wmissing-prototypes;-Wvla;-Werror>")
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror>")
# Reproducible objects: no absolute paths.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)

if(HADMC_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()

if(HADMC_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
