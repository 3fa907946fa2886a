# One function per kind of target, so that every folder's CMakeLists.txt is a list of names.
# No -march flag anywhere: fast paths are compiled per target and chosen at run time.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

find_program(MASSACT_CCACHE ccache)
if(MASSACT_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MASSACT_CCACHE})
endif()

set(MASSACT_SANITIZE "" CACHE STRING "Sanitizers to build with, for example address,undefined")
if(MASSACT_SANITIZE)
  add_compile_options(-fsanitize=${MASSACT_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MASSACT_SANITIZE})
endif()

function(massact_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow
                         $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
                         # False positives of GCC 12 in std::string (gcc.gnu.org/PR105651).
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
  # Sanitizers' code makes GCC warn about values that are never uninitialised: no errors there.
  if(MASSACT_WERROR AND NOT MASSACT_SANITIZE)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# massact_library(io SOURCES a.cpp b.cpp DEPS tensor PUBLIC_LIBS fmt::fmt PRIVATE_LIBS x)
# makes the target massact_io (alias massact::io). DEPS are other massact folders.
function(massact_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PUBLIC_LIBS;PRIVATE_LIBS" ${ARGN})
  add_library(massact_${name} STATIC ${ARG_SOURCES})
  add_library(massact::${name} ALIAS massact_${name})
  target_include_directories(massact_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                                                    $<INSTALL_INTERFACE:include>)
  target_compile_features(massact_${name} PUBLIC cxx_std_20)
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(massact_${name} PUBLIC massact_${dep})
  endforeach()
  target_link_libraries(massact_${name} PUBLIC ${ARG_PUBLIC_LIBS} PRIVATE ${ARG_PRIVATE_LIBS})
  massact_warnings(massact_${name})
  set_target_properties(massact_${name} PROPERTIES EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY MASSACT_LIBRARIES massact_${name})
endfunction()

# Every test program also belongs to the target KIND_tests, so that one kind can be built alone.
foreach(kind unit parity cli train)
  add_custom_target(${kind}_tests)
endforeach()

# massact_test(unit base_error_test SOURCES error_test.cpp DEPS base): a GoogleTest program whose
# cases become ctest cases labelled with the kind (unit, parity, cli).
function(massact_test kind name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(${name} PRIVATE massact_${dep})
  endforeach()
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} massact_test_paths GTest::gtest GTest::gmock
                                        GTest::gtest_main)
  massact_warnings(${name})
  add_dependencies(${kind}_tests ${name})
  gtest_discover_tests(${name} TEST_PREFIX "${kind}." PROPERTIES LABELS ${kind}
                       DISCOVERY_TIMEOUT 60)
endfunction()
