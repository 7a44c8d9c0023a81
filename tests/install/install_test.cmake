# SPDX-License-Identifier: Apache-2.0
# cmake -DBUILD=... -DMODEL=... -DWORK=... -DGENERATOR=... -P install_test.cmake
#
# Installs the build, builds the project of this folder against it, outside both
# trees, runs it, and sees that a second build has nothing to do but a changed model
# makes it compile again.  Then a bundle of the installed compiler through pkg-config.
set(prefix ${WORK}/prefix)
set(project ${WORK}/project)

function(run expected)
  execute_process(${ARGN} OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE code)
  if(NOT code EQUAL 0 OR NOT out MATCHES "${expected}")
    message(FATAL_ERROR "${ARGN}: exit status ${code}, expected '${expected}' in\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${project})
file(COPY ${CMAKE_CURRENT_LIST_DIR}/CMakeLists.txt ${CMAKE_CURRENT_LIST_DIR}/digits_demo.c
     DESTINATION ${project})
file(COPY_FILE ${MODEL} ${project}/digits.onnx)

run("libhadm_update.a" COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
run("" COMMAND ${CMAKE_COMMAND} -S ${project} -B ${project}/build -G ${GENERATOR}
    -DCMAKE_PREFIX_PATH=${prefix} -DMODEL=${project}/digits.onnx)
run("Compiling" COMMAND ${CMAKE_COMMAND} --build ${project}/build)
run("^agreed\n$" COMMAND ${project}/build/digits_demo)
run("" COMMAND ${CMAKE_COMMAND} --build ${project}/build)
if(out MATCHES "Compiling")
  message(FATAL_ERROR "a second build compiles again:\n${out}")
endif()
file(TOUCH ${project}/digits.onnx)
run("Compiling" COMMAND ${CMAKE_COMMAND} --build ${project}/build)

run("" COMMAND ${prefix}/bin/hadmcc ${MODEL} --target host --prefix digits -o ${WORK}/b)
set(ENV{PKG_CONFIG_PATH} ${WORK}/b)
run("libdigits.a|-ldigits" COMMAND pkg-config --cflags --libs digits)
string(STRIP "${out}" flags)
separate_arguments(flags UNIX_COMMAND "${flags}")
file(COPY ${WORK}/b/digits_selftest.c ${WORK}/b/digits_probe.h DESTINATION ${WORK})
run("" COMMAND cc -std=c11 digits_selftest.c ${flags} -lm -o selftest
    WORKING_DIRECTORY ${WORK})
run("0 wrong: passed" COMMAND ./selftest b/digits.weights WORKING_DIRECTORY ${WORK})
