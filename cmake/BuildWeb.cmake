# cmake -D WEB=… -D BUILD=… -D OUT=… -D NODE=… -D NPM=… -D REQUIRED=ON|AUTO -P BuildWeb.cmake
# Copies the page's sources to BUILD, installs what package-lock.json pins there (once per lock
# file) and bundles. Where the packages cannot be had, AUTO goes on with an empty page.
function(step what)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${BUILD} RESULT_VARIABLE status
                  OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(status EQUAL 0)
    return()
  endif()
  file(REMOVE ${BUILD}/installed.lock)
  if(REQUIRED STREQUAL ON)
    message(FATAL_ERROR "${what} failed:\n${said}")
  endif()
  message(WARNING "${what} failed, so `massact report` will have no page (remove ${OUT} and build "
                  "again to retry, or configure with -DMASSACT_WEB=OFF):\n${said}")
  file(WRITE ${OUT} "")
  set(failed TRUE PARENT_SCOPE)
endfunction()

file(MAKE_DIRECTORY ${BUILD})
# Only what is listed: a developer's node_modules beside the sources stays there.
file(REMOVE_RECURSE ${BUILD}/src)
file(COPY ${WEB}/src ${WEB}/package.json ${WEB}/package-lock.json ${WEB}/build.mjs
          ${WEB}/tsconfig.json ${WEB}/page.html DESTINATION ${BUILD})

file(SHA256 ${BUILD}/package-lock.json lock)
set(installed "")
if(EXISTS ${BUILD}/installed.lock)
  file(READ ${BUILD}/installed.lock installed)
endif()
if(NOT installed STREQUAL lock)
  step("npm ci" ${NPM} ci --ignore-scripts --no-audit --no-fund --fetch-retries=1)
  if(failed)
    return()
  endif()
  file(WRITE ${BUILD}/installed.lock ${lock})
endif()
step("Bundling the page" ${NODE} build.mjs ${OUT})
