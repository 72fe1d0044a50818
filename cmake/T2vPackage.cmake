# cpack: the tree of cmake --install as a package for the Debian that it is built on (docs/install.md).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME t2v)
set(CPACK_PACKAGE_CONTACT "t2v maintainers <maintainers@t2v.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "command-line text-to-video generator")
set(CPACK_PACKAGE_DESCRIPTION "t2v makes video clips from prompts with Wan 2.1 models in Hugging Face diffusers folders, and with a
small model of its own, which comes along. So does libtorch.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION video)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
# Of what t2v and libtorch are linked to, libtorch's own libraries come along; the distribution's are named.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${Torch_ROOT}/lib)
# Tests and benchmarks are not in the package: cmake --build BUILD --target t2v_cli_program t2v is enough.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
include(CPack)
