# cmake --install: a tree that runs from any folder. libtorch comes along in lib/t2v; Debian's libraries (FFmpeg, spdlog, utf8proc, xxhash, sentencepiece) are expected on the machine.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set_target_properties(t2v_cli_program PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/t2v")
set_target_properties(t2v PROPERTIES INSTALL_RPATH "$ORIGIN/t2v")
target_include_directories(t2v INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(TARGETS t2v_cli_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(PROGRAMS ${CMAKE_BINARY_DIR}/t2v-launcher DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS t2v EXPORT t2vTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
# Completions and the manual page, from the program's own options.
set(T2V_SHELL_FILES ${CMAKE_BINARY_DIR}/shell)
install(CODE "
  file(MAKE_DIRECTORY ${T2V_SHELL_FILES})
  foreach(what bash zsh fish man)
    execute_process(COMMAND $<TARGET_FILE:t2v_cli_program> completion \${what} OUTPUT_FILE ${T2V_SHELL_FILES}/\${what} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()")
install(FILES ${T2V_SHELL_FILES}/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME t2v)
install(FILES ${T2V_SHELL_FILES}/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _t2v)
install(FILES ${T2V_SHELL_FILES}/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME t2v.fish)
install(FILES ${T2V_SHELL_FILES}/man DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 RENAME t2v.1)
install(DIRECTORY include/t2v DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/t2v/models)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES third_party/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES third_party/noto-emoji/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSE.noto-emoji)
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
