# The page that `massact report` fills: src/report/web, bundled by npm and esbuild into one HTML file
# that becomes part of the program. Without Node (or with MASSACT_WEB=OFF) that file is empty, and
# `massact report` writes its static figures alone.
set(MASSACT_WEB AUTO CACHE STRING "Build the report's page: AUTO (if node and npm are there), ON, OFF")
set_property(CACHE MASSACT_WEB PROPERTY STRINGS AUTO ON OFF)

# massact_web_page(OUT): sets OUT to the path of the HTML template, which a rule of this directory
# makes.
function(massact_web_page out)
  set(template ${PROJECT_BINARY_DIR}/web/report.template.html)
  set(${out} ${template} PARENT_SCOPE)
  find_program(MASSACT_NODE node)
  find_program(MASSACT_NPM npm)
  if(MASSACT_WEB STREQUAL ON AND NOT (MASSACT_NODE AND MASSACT_NPM))
    message(FATAL_ERROR "MASSACT_WEB=ON needs node and npm (apt-get install nodejs npm)")
  endif()
  if(MASSACT_WEB STREQUAL OFF OR NOT (MASSACT_NODE AND MASSACT_NPM))
    if(NOT MASSACT_WEB STREQUAL OFF)
      message(WARNING "node or npm not found: `massact report` will have no page")
    endif()
    file(WRITE ${template} "")
    return()
  endif()
  set(web ${PROJECT_SOURCE_DIR}/src/report/web)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${web}/src/*)
  list(APPEND sources ${web}/package.json ${web}/package-lock.json ${web}/build.mjs
       ${web}/tsconfig.json ${web}/page.html)
  add_custom_command(OUTPUT ${template}
    COMMAND ${CMAKE_COMMAND} -D WEB=${web} -D BUILD=${PROJECT_BINARY_DIR}/web -D OUT=${template}
            -D NODE=${MASSACT_NODE} -D NPM=${MASSACT_NPM} -D REQUIRED=${MASSACT_WEB}
            -P ${PROJECT_SOURCE_DIR}/cmake/BuildWeb.cmake
    DEPENDS ${sources} ${PROJECT_SOURCE_DIR}/cmake/BuildWeb.cmake
    COMMENT "Bundling the report's page")
endfunction()
