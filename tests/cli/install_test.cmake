# Installs the build, configures and builds the example against what was installed, runs it.
set(work ${BUILD_DIR}/install-test)
file(REMOVE_RECURSE ${work})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE output
                  ERROR_VARIABLE errors)
  if(NOT status EQUAL 0)
    string(JOIN " " line ${ARGV})
    message(FATAL_ERROR "${line}: ${status}\n${output}${errors}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${work}/prefix)
run(${work}/prefix/bin/massact --version)
if(NOT output MATCHES "^massact [0-9]+\\.[0-9]+\\.[0-9]+\n$")
  message(FATAL_ERROR "massact --version of the installed program printed '${output}'")
endif()

# What the shells and man look for, of this very program.
foreach(file bash-completion/completions/massact zsh/site-functions/_massact
        fish/vendor_completions.d/massact.fish man/man1/massact.1)
  if(NOT EXISTS ${work}/prefix/share/${file})
    message(FATAL_ERROR "share/${file} was not installed")
  endif()
  file(READ ${work}/prefix/share/${file} text)
  if(NOT text MATCHES "seq[\\]?-len")
    message(FATAL_ERROR "share/${file} does not know --seq-len:\n${text}")
  endif()
endforeach()
find_program(man man)
find_program(groff groff)
if(man AND groff)
  run(${man} -l ${work}/prefix/share/man/man1/massact.1)
  if(NOT output MATCHES "find, explain, edit and replace")
    message(FATAL_ERROR "man rendered '${output}'")
  endif()
endif()

set(flags -DCMAKE_BUILD_TYPE=${BUILD_TYPE})
if(SANITIZE)
  list(APPEND flags -DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE})
endif()
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/find -B ${work}/build -G Ninja ${flags}
    -DCMAKE_PREFIX_PATH=${work}/prefix)
run(${CMAKE_COMMAND} --build ${work}/build)

set(golden ${SOURCE}/tests/golden)
run(${work}/build/find ${golden}/models/planted ${golden}/texts/harbour.txt)
if(NOT output MATCHES "dimension 19, start token: 900")
  message(FATAL_ERROR "the example did not find the planted massive activation:\n${output}")
endif()

# The README shows the example as it is.
file(READ ${SOURCE}/README.md readme)
file(READ ${SOURCE}/examples/find/main.cpp example)
string(FIND "${readme}" "```cpp\n${example}```" place)
if(place EQUAL -1)
  message(FATAL_ERROR "README.md does not show examples/find/main.cpp as it is")
endif()

# The trainer, where it was built: its two programs find each other in the prefix.
if(EXISTS ${work}/prefix/bin/massact-train)
  run(${work}/prefix/bin/massact-train prepare --text ${golden}/texts/harbour.txt --vocab-size 400
      --val-fraction 0.1 --out ${work}/data)
  if(NOT EXISTS ${work}/data/train.bin)
    message(FATAL_ERROR "the installed massact-train prepare wrote no train.bin")
  endif()
endif()
