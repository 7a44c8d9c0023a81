# SPDX-License-Identifier: Apache-2.0
# cmake --install: hadmcc with its man page and completions, and the package file
# with which other projects find it.  The runtime installs itself (runtime/).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The tool prints its own documents, so that they cannot be out of date.
set(documents ${CMAKE_BINARY_DIR}/documents)
add_custom_command(OUTPUT ${documents}/hadmcc.1 ${documents}/hadmcc ${documents}/_hadmcc
  COMMAND ${CMAKE_COMMAND} -E make_directory ${documents}
  COMMAND hadmcc --man > ${documents}/hadmcc.1
  COMMAND hadmcc --completion bash > ${documents}/hadmcc
  COMMAND hadmcc --completion zsh > ${documents}/_hadmcc
  DEPENDS hadmcc COMMENT "Man page and completions" VERBATIM)
add_custom_target(documents ALL DEPENDS ${documents}/hadmcc.1)

configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/hadmc-config.cmake.in
  ${CMAKE_BINARY_DIR}/hadmc-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hadmc
  PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_DATADIR
            CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/hadmc-config-version.cmake
  COMPATIBILITY SameMinorVersion)

install(TARGETS hadmcc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${documents}/hadmcc.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${documents}/hadmcc
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${documents}/_hadmcc DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${CMAKE_BINARY_DIR}/hadmc-config.cmake
  ${CMAKE_BINARY_DIR}/hadmc-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hadmc)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/LICENSE.exception
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/hadmc)
