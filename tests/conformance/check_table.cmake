# SPDX-License-Identifier: Apache-2.0
# Runs every case and compares the verdicts with the table in the tree.
#   cmake -DBACKEND=... -DCASES=... -DWORK=... -DTABLE=... [-DUPDATE=1] -P check_table.cmake
execute_process(COMMAND ${BACKEND} ${CASES} ${WORK} OUTPUT_FILE ${WORK}.tsv RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the conformance program ended with ${failed}")
endif()
if(UPDATE)
  configure_file(${WORK}.tsv ${TABLE} COPYONLY)
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${WORK}.tsv ${TABLE} RESULT_VARIABLE differs)
if(differs)
  execute_process(COMMAND diff ${TABLE} ${WORK}.tsv)
  message(FATAL_ERROR "${TABLE} does not say what the cases give; run again with -DUPDATE=1 and read the difference")
endif()
