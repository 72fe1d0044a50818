# cmake -P script of the test install.tree_runs_from_anywhere; see CMakeLists.txt.
set(work ${BUILD_DIR}/install-test)
set(prefix ${work}/moved)

# run(WHAT COMMAND...): stops the test when the command fails; its output is in `output`.
function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what}: ${status}\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

function(expect_file path)
  if(NOT EXISTS ${prefix}/${path})
    message(FATAL_ERROR "not installed: ${path}")
  endif()
endfunction()

file(REMOVE_RECURSE ${work})
run("install" ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${work}/first)
file(RENAME ${work}/first ${prefix})

foreach(path bin/t2v bin/t2v-launcher ${LIBDIR}/libt2v.so include/t2v/error.h ${LIBDIR}/cmake/t2v/t2vConfig.cmake share/t2v/models/world-128/model_index.json share/doc/t2v/LICENSE share/doc/t2v/copyright share/doc/t2v/README.md share/doc/t2v/docs/batch.md share/bash-completion/completions/t2v share/zsh/site-functions/_t2v share/fish/vendor_completions.d/t2v.fish share/man/man1/t2v.1)
  expect_file(${path})
endforeach()

# Nothing in the tree refers to the machine it was built on.
foreach(path bin/t2v bin/t2v-launcher ${LIBDIR}/libt2v.so share/bash-completion/completions/t2v share/man/man1/t2v.1 ${LIBDIR}/cmake/t2v/t2vTargets.cmake ${LIBDIR}/cmake/t2v/t2vConfig.cmake)
  foreach(folder ${SOURCE_DIR} ${BUILD_DIR} ${TORCH_ROOT} ${T2V_CACHE})
    execute_process(COMMAND grep -c -a -F ${folder}/ ${prefix}/${path} OUTPUT_VARIABLE count OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT count EQUAL 0)
      message(FATAL_ERROR "${path} contains the path ${folder} (${count} times)")
    endif()
  endforeach()
endforeach()

# The program finds its own model and loads its own libtorch.
run("bin/t2v generate" ${CMAKE_COMMAND} -E env --unset=LD_LIBRARY_PATH --unset=T2V_MODELS
  ${prefix}/bin/t2v generate --prompt "a red circle" --steps 2 --frames 1 --seed 1 -o ${work}/clip.mp4)
if(NOT EXISTS ${work}/clip.mp4)
  message(FATAL_ERROR "bin/t2v generate wrote no clip.mp4:\n${output}")
endif()
run("ldd bin/t2v" ldd ${prefix}/bin/t2v)
if(NOT output MATCHES "libtorch_cpu.so => ${prefix}/")
  message(FATAL_ERROR "bin/t2v does not load the installed libtorch:\n${output}")
endif()

if(SANITIZE)
  set(sanitizer -DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE})
endif()
# Another project finds the package, links the library, receives a clip's frames and catches its errors.
run("configure the consumer" ${CMAKE_COMMAND} -S ${SOURCE_DIR}/examples/library -B ${work}/consumer -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${prefix}
  ${sanitizer})
run("build the consumer" ${CMAKE_COMMAND} --build ${work}/consumer)
run("run the consumer" ${work}/consumer/make_clip ${prefix}/share/t2v/models/world-128 "a red circle on a black background")
if(NOT output MATCHES "frame 0: -?[0-9.]+\nframe 1: .*\nframe 4: -?[0-9.]+\n$")
  message(FATAL_ERROR "the consumer printed '${output}' instead of five frames")
endif()
execute_process(COMMAND ${work}/consumer/make_clip ${work}/no-model "a circle" RESULT_VARIABLE code ERROR_VARIABLE said)
if(NOT code EQUAL 3 OR NOT said MATCHES "no-model")
  message(FATAL_ERROR "without a model the consumer ended with ${code} and '${said}'")
endif()

# Where the libtorch that came along has gone, the launcher takes that of python3's PyTorch, or says what to install.
file(REMOVE_RECURSE ${prefix}/${LIBDIR}/t2v)
function(launch python)
  file(WRITE ${work}/path/python3 "#!/bin/sh\n${python}\n")
  file(CHMOD ${work}/path/python3 PERMISSIONS OWNER_READ OWNER_EXECUTE OWNER_WRITE)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=LD_LIBRARY_PATH --unset=T2V_TORCH PATH=${work}/path:$ENV{PATH}
    ${prefix}/bin/t2v-launcher --version RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  set(launched "${status}: ${text}" PARENT_SCOPE)
endfunction()
launch("echo ${TORCH_ROOT}")
if(NOT launched MATCHES "^0: t2v ")
  message(FATAL_ERROR "the launcher did not take python3's libtorch: ${launched}")
endif()
launch("exit 1")
if(NOT launched MATCHES "^2: error: no libtorch: T2V_TORCH is not set.*Install PyTorch [0-9.]+ ")
  message(FATAL_ERROR "the launcher did not say that there is no libtorch: ${launched}")
endif()

file(REMOVE_RECURSE ${work})
