# SPDX-License-Identifier: Apache-2.0
# Debian packages, found by name; docs/decisions/0001-dependencies.md gives each a reason.
find_program(LLVM_CONFIG NAMES llvm-config-19 REQUIRED)
find_program(CLANG NAMES clang-19 REQUIRED)
find_program(LLVM_OPT NAMES opt-19 REQUIRED)
find_program(LLVM_LINK NAMES llvm-link-19 REQUIRED)
find_program(FLATC NAMES flatc REQUIRED)
execute_process(COMMAND ${LLVM_CONFIG} --includedir OUTPUT_VARIABLE LLVM_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${LLVM_CONFIG} --libdir OUTPUT_VARIABLE LLVM_LIBDIR OUTPUT_STRIP_TRAILING_WHITESPACE)
find_library(LLVM_LIBRARY NAMES LLVM-19 LLVM HINTS ${LLVM_LIBDIR} NO_DEFAULT_PATH REQUIRED)
add_library(llvm INTERFACE)
target_include_directories(llvm SYSTEM INTERFACE ${LLVM_INCLUDE})
target_link_libraries(llvm INTERFACE ${LLVM_LIBRARY})

find_package(PkgConfig REQUIRED)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(libpng REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(libjpeg REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(libsodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(libzstd REQUIRED IMPORTED_TARGET libzstd)
# Headers only: support/blas.c loads the library when it is needed.
pkg_check_modules(openblas REQUIRED openblas)
find_package(Threads REQUIRED)
# Optional: hadmcc under mpirun.
if(HADMC_MPI)
  find_package(MPI QUIET COMPONENTS C)
endif()
