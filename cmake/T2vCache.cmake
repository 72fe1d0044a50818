# T2V_CACHE: where tools/quickstart keeps what it downloads and builds. A later clone finds it there.
if(DEFINED ENV{T2V_CACHE})
  set(_t2v_cache $ENV{T2V_CACHE})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(_t2v_cache $ENV{XDG_CACHE_HOME}/t2v)
else()
  set(_t2v_cache $ENV{HOME}/.cache/t2v)
endif()
set(T2V_CACHE ${_t2v_cache} CACHE PATH "Downloads and dependency builds, shared by all clones of one user")

# ccache makes the second build quick, where it is installed. It handles the precompiled libtorch header only with these settings.
find_program(T2V_CCACHE ccache)
if(T2V_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${T2V_CCACHE})
endif()
