# One static library per room. A room's headers are reached as "room/file.h" through a folder that holds nothing but a link to that room,
# so that including a room one may not see does not compile.

add_library(t2v_warnings INTERFACE)
target_compile_options(t2v_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
# The same bits on every machine: no multiplication and addition as one operation.
target_compile_options(t2v_warnings INTERFACE -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 reports them falsely for std::string concatenation (GCC bugs 105329, 105651).
  target_compile_options(t2v_warnings INTERFACE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
  # Where several files are compiled at once, each is included by another, and what is its own looks like a header's.
  target_compile_options(t2v_warnings INTERFACE -Wno-subobject-linkage)
  if(T2V_TORCH_VERSION VERSION_LESS 2.15)  # and uninitialised values in the references of older libtorchs
    target_compile_options(t2v_warnings INTERFACE -Wno-maybe-uninitialized)
  endif()
else()
  # Under sanitizers clang cannot vectorise a loop that asks for it, and says so.
  target_compile_options(t2v_warnings INTERFACE -Wno-pass-failed)
endif()
# __FILE__ in a message names the file within the project, on every machine alike.
target_compile_options(t2v_warnings INTERFACE -fmacro-prefix-map=${CMAKE_BINARY_DIR}/rooms/=src/ -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(T2V_WERROR)
  target_compile_options(t2v_warnings INTERFACE -Werror)
endif()
if(T2V_SANITIZE)
  # Undefined behaviour ends the program, as every other finding does.
  target_compile_options(t2v_warnings INTERFACE -fsanitize=${T2V_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # GCC's own instrumentation makes it see uninitialised values in the standard library.
    target_compile_options(t2v_warnings INTERFACE -Wno-maybe-uninitialized)
    # ThreadSanitizer does not see atomic_thread_fence, which libtorch's headers have for Python's references; there are none here.
    if(T2V_SANITIZE MATCHES "thread")
      # Its calls between the parts of a string's sum make GCC see copies beyond the string's own buffer.
      target_compile_options(t2v_warnings INTERFACE -Wno-tsan -Wno-array-bounds)
    endif()
  endif()
  target_link_options(t2v_warnings INTERFACE -fsanitize=${T2V_SANITIZE})
endif()

# The rooms of the shell spend no time in their own loops; optimising their JSON and CLI11 templates would take half of the build.
set(T2V_SHELL_OPTIONS $<$<CONFIG:Release>:-O1>)
# Nor does a test. -fPIC: as the precompiled headers are made.
set(T2V_TEST_OPTIONS $<$<CONFIG:Release>:-O0> -fPIC)

# torch's headers cost 10 to 20 seconds a file; they are compiled once for the program, and once for the tests.
set(T2V_STANDARD_HEADERS <string> <vector> <memory> <optional> <functional> <map> <unordered_map> <algorithm>)
function(t2v_precompiled name)
  cmake_parse_arguments(PCH "" "" "HEADERS;LINK;OPTIONS" ${ARGN})
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp "")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PUBLIC ${PCH_LINK} PRIVATE t2v_warnings)
  target_compile_options(${name} PRIVATE ${PCH_OPTIONS})
  target_precompile_headers(${name} PRIVATE ${PCH_HEADERS} ${T2V_STANDARD_HEADERS})
endfunction()
t2v_precompiled(t2v_torch_pch HEADERS <ATen/ATen.h> <filesystem> <fstream> <nlohmann/json.hpp>
  LINK t2v::torch nlohmann_json::nlohmann_json)

set(T2V_ROOM_LIBRARIES "" CACHE INTERNAL "")

function(t2v_room name)
  cmake_parse_arguments(ROOM "TORCH;SHELL" "" "SEES;LINK;SOURCES" ${ARGN})
  if(ROOM_SOURCES)  # instead of its own
    set(sources ${ROOM_SOURCES})
  else()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  endif()
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/rooms/${name})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${name} ${CMAKE_BINARY_DIR}/rooms/${name}/${name} SYMBOLIC)
  add_library(t2v_${name} STATIC ${sources})
  target_include_directories(t2v_${name} PUBLIC ${CMAKE_BINARY_DIR}/rooms/${name} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(t2v_${name} PUBLIC ${ROOM_LINK} PRIVATE t2v_warnings)
  foreach(seen IN LISTS ROOM_SEES)
    target_link_libraries(t2v_${name} PUBLIC t2v_${seen})
  endforeach()
  set(T2V_ROOM_HAS_TORCH_${name} ${ROOM_TORCH} CACHE INTERNAL "")
  if(ROOM_TORCH)
    target_link_libraries(t2v_${name} PUBLIC t2v::torch)
    target_precompile_headers(t2v_${name} REUSE_FROM t2v_torch_pch)
  endif()
  if(ROOM_SHELL)
    target_compile_options(t2v_${name} PRIVATE ${T2V_SHELL_OPTIONS})
  endif()
  set(T2V_LINK_t2v_${name} ${ROOM_LINK} CACHE INTERNAL "")
  set(T2V_ROOM_LIBRARIES ${T2V_ROOM_LIBRARIES} t2v_${name} CACHE INTERNAL "")
endfunction()

# libt2v: all rooms but cli in one shared library.
function(t2v_library)
  set(rooms ${T2V_ROOM_LIBRARIES})
  list(REMOVE_ITEM rooms t2v_cli)
  add_library(t2v SHARED)
  foreach(room IN LISTS rooms)
    target_sources(t2v PRIVATE $<TARGET_OBJECTS:${room}>)
    target_link_libraries(t2v PRIVATE ${T2V_LINK_${room}})
  endforeach()
  target_link_libraries(t2v PRIVATE t2v::torch)
  set_target_properties(t2v PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION 0)
endfunction()

function(t2v_program)
  add_executable(t2v_cli_program ${PROJECT_SOURCE_DIR}/src/main.cpp ${PROJECT_SOURCE_DIR}/src/startup.cpp)
  # It runs before the sanitizers' own start.
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/startup.cpp PROPERTIES COMPILE_OPTIONS -fno-sanitize=all)
  set_target_properties(t2v_cli_program PROPERTIES OUTPUT_NAME t2v)
  configure_file(${PROJECT_SOURCE_DIR}/src/launcher.in ${CMAKE_BINARY_DIR}/t2v-launcher @ONLY
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  target_link_libraries(t2v_cli_program PRIVATE t2v_cli t2v_warnings)
endfunction()

# Unit tests of one room: tests/unit/ROOM/*.cpp, linked with that room only.
function(t2v_room_tests name)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/${name}/*.cpp)
  if(sources)
    t2v_test_program(t2v_test_${name} unit.${name} ROOM ${name} SOURCES ${sources})
  endif()
endfunction()

# A program of tests that sees one room, as the test TEST.
function(t2v_test_program program test)
  cmake_parse_arguments(PROGRAM "" "ROOM" "SOURCES" ${ARGN})
  add_executable(${program} ${PROGRAM_SOURCES})
  target_compile_options(${program} PRIVATE ${T2V_TEST_OPTIONS})
  target_link_libraries(${program} PRIVATE t2v_${PROGRAM_ROOM} t2v_test_support GTest::gtest_main t2v_warnings)
  if(T2V_ROOM_HAS_TORCH_${PROGRAM_ROOM})
    target_link_libraries(${program} PRIVATE t2v_weights)  # reads the golden files
    target_precompile_headers(${program} REUSE_FROM t2v_torch_test_pch)
  else()
    target_precompile_headers(${program} REUSE_FROM t2v_test_pch)
  endif()
  add_test(NAME ${test} COMMAND ${program})
endfunction()
