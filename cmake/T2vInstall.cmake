# cmake --install: a tree that runs from any folder. libtorch comes along in lib/t2v; Debian's libraries (FFmpeg, spdlog, utf8proc, xxhash, sentencepiece) are expected on the machine.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set_target_properties(t2v_cli_program PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/t2v")
set_target_properties(t2v PROPERTIES INSTALL_RPATH "$ORIGIN/t2v")
target_include_directories(t2v INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(TARGETS t2v_cli_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS t2v EXPORT t2vTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/t2v DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/t2v/models)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES third_party/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME DEPENDENCIES.md)

# libtorch's libraries look for each other beside themselves.
install(DIRECTORY ${Torch_ROOT}/lib/ DESTINATION ${CMAKE_INSTALL_LIBDIR}/t2v
  FILES_MATCHING PATTERN "*.so" PATTERN "*.so.*" PATTERN "libtorch_python*" EXCLUDE)
install(FILES ${Torch_ROOT}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSE.libtorch OPTIONAL)

set(T2V_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/t2v)
install(EXPORT t2vTargets NAMESPACE t2v:: DESTINATION ${T2V_PACKAGE_DIR})
configure_package_config_file(cmake/t2vConfig.cmake.in ${CMAKE_BINARY_DIR}/t2vConfig.cmake INSTALL_DESTINATION ${T2V_PACKAGE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/t2vConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/t2vConfig.cmake ${CMAKE_BINARY_DIR}/t2vConfigVersion.cmake DESTINATION ${T2V_PACKAGE_DIR})

if(T2V_TESTS)
  add_subdirectory(tests/install)
endif()
