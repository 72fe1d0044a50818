# What the rooms need besides libtorch, without FFmpeg, from the folder that tools/device-bundle makes: for a machine with a compiler and CMake,
# but neither Debian's packages nor a network.
if(NOT EXISTS "${T2V_CARRIED}/include/nlohmann/json.hpp")
  message(FATAL_ERROR "T2V_CARRIED='${T2V_CARRIED}' should be a folder that tools/device-bundle has made.")
endif()
find_package(Threads REQUIRED)

function(t2v_carried name)
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${name} SYSTEM INTERFACE ${T2V_CARRIED}/include)
  target_link_libraries(${name} INTERFACE ${ARGN})
endfunction()
t2v_carried(nlohmann_json::nlohmann_json)
t2v_carried(spdlog::spdlog Threads::Threads)
target_compile_definitions(spdlog::spdlog INTERFACE FMT_HEADER_ONLY)
t2v_carried(PkgConfig::XXHASH)
target_compile_definitions(PkgConfig::XXHASH INTERFACE XXH_INLINE_ALL)
t2v_carried(PkgConfig::UTF8PROC ${T2V_CARRIED}/lib/libutf8proc.a)
t2v_carried(PkgConfig::SENTENCEPIECE ${T2V_CARRIED}/lib/libsentencepiece_train.so.0 ${T2V_CARRIED}/lib/libsentencepiece.so.0)
set(GLOO_INCLUDE_DIR ${T2V_CARRIED}/include)

add_library(t2v_carried_gtest STATIC EXCLUDE_FROM_ALL ${T2V_CARRIED}/googletest/src/gtest-all.cc ${T2V_CARRIED}/googletest/src/gtest_main.cc)
target_include_directories(t2v_carried_gtest SYSTEM PUBLIC ${T2V_CARRIED}/googletest/include PRIVATE ${T2V_CARRIED}/googletest)
target_link_libraries(t2v_carried_gtest PUBLIC Threads::Threads)
set_target_properties(t2v_carried_gtest PROPERTIES UNITY_BUILD OFF)  # a program may have a main of its own
add_library(GTest::gtest ALIAS t2v_carried_gtest)
add_library(GTest::gtest_main ALIAS t2v_carried_gtest)
