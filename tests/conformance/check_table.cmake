# SPDX-License-Identifier: Apache-2.0
# Runs every case and compares the verdicts with the table in the tree.
#   cmake -DBACKEND=... -DCASES=... -DWORK=... -DTABLE=... [-DUPDATE=1] [-DEVERY=N]
#         -P check_table.cmake
# With EVERY=N only each N-th case runs, and its row must be one of the table's.
if(NOT EVERY)
  set(EVERY 1)
endif()
execute_process(COMMAND ${BACKEND} ${CASES} ${WORK} --every ${EVERY}
                OUTPUT_FILE ${WORK}.tsv RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the conformance program ended with ${failed}")
endif()
if(EVERY GREATER 1)
  # Rows hold semicolons and brackets, which lists of CMake would split: whole texts.
  file(READ ${TABLE} table)
  file(STRINGS ${WORK}.tsv names REGEX "^[a-z]")
  set(wrong)
  foreach(row IN LISTS names)
    string(FIND "\n${table}" "\n${row}" at)
    if(at EQUAL -1)
      string(APPEND wrong "${row}\n")
    endif()
  endforeach()
  if(wrong OR NOT names)
    message(FATAL_ERROR "rows that ${TABLE} does not have:\n${wrong}")
  endif()
  return()
endif()
if(UPDATE)
  configure_file(${WORK}.tsv ${TABLE} COPYONLY)
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${WORK}.tsv ${TABLE} RESULT_VARIABLE differs)
if(differs)
  execute_process(COMMAND diff ${TABLE} ${WORK}.tsv)
  message(FATAL_ERROR "${TABLE} does not say what the cases give; run again with -DUPDATE=1 and read the difference")
endif()
