# SPDX-License-Identifier: Apache-2.0
# Inner loops are compiled once for each level of the processor family
# (support/cpu_level.h) and chosen when the program starts.

set(HADMC_LEVELS plain)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  list(APPEND HADMC_LEVELS v3 v4)
endif()

# hadmc_add_levels(LIBRARY SOURCE NAME [DEFINITIONS]): SOURCE, in which NAME is what its
# table of functions is called, becomes part of LIBRARY as NAME_plain, NAME_v3, NAME_v4.
# Sums of products are one instruction where there is one.
function(hadmc_add_levels library source name)
  string(TOUPPER ${name} macro)
  foreach(level ${HADMC_LEVELS})
    set(object ${library}_${name}_${level})
    add_library(${object} OBJECT ${source})
    target_compile_definitions(${object} PRIVATE ${macro}=${name}_${level} ${ARGN})
    target_compile_options(${object} PRIVATE -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math -Wno-psabi)
    if(HADMC_SANITIZE) # checks of every lane take minutes to compile; addresses remain
      target_compile_options(${object} PRIVATE -fno-sanitize=undefined)
    endif()
    if(NOT level STREQUAL "plain")
      target_compile_options(${object} PRIVATE -march=x86-64-${level})
    endif()
    target_sources(${library} PRIVATE $<TARGET_OBJECTS:${object}>)
  endforeach()
endfunction()
