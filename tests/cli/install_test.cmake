# Installs the build, configures and builds the example against what was installed, runs it.
set(work ${BUILD_DIR}/install-test)
file(REMOVE_RECURSE ${work})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    string(JOIN " " line ${ARGV})
    message(FATAL_ERROR "${line}: ${status}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${work}/prefix)
set(flags -DCMAKE_BUILD_TYPE=${BUILD_TYPE})
if(SANITIZE)
  list(APPEND flags -DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE})
endif()
run(${CMAKE_COMMAND} -S ${EXAMPLE} -B ${work}/build -G Ninja ${flags}
    -DCMAKE_PREFIX_PATH=${work}/prefix)
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/find-and-zero)
run(${work}/prefix/bin/massact --version)
if(NOT output MATCHES "^massact [0-9]+\\.[0-9]+\\.[0-9]+\n$")
  message(FATAL_ERROR "massact --version of the installed program printed '${output}'")
endif()
