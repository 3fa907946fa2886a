# `cmake --install` and the package behind find_package(massact): one imported target per folder
# (massact::io) and massact::massact for all of them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(massact_libraries GLOBAL PROPERTY MASSACT_LIBRARIES)

add_library(massact_all INTERFACE)
add_library(massact::massact ALIAS massact_all)
set_target_properties(massact_all PROPERTIES EXPORT_NAME massact)
target_link_libraries(massact_all INTERFACE ${massact_libraries})

install(TARGETS massact_all ${massact_libraries} EXPORT massactTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS massact RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY src/massact DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "cli" EXCLUDE)

set(massact_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/massact)
install(EXPORT massactTargets NAMESPACE massact:: DESTINATION ${massact_package_dir})
configure_package_config_file(cmake/massactConfig.cmake.in massactConfig.cmake
                              INSTALL_DESTINATION ${massact_package_dir}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(massactConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/massactConfig.cmake
              ${PROJECT_BINARY_DIR}/massactConfigVersion.cmake
        DESTINATION ${massact_package_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Made by the program itself whenever it is linked, so that none of it can fall behind.
if(NOT CMAKE_CROSSCOMPILING)
  set(massact_share ${PROJECT_BINARY_DIR}/share)
  set(massact_made_bash ${CMAKE_INSTALL_DATADIR}/bash-completion/completions/massact)
  set(massact_made_zsh ${CMAKE_INSTALL_DATADIR}/zsh/site-functions/_massact)
  set(massact_made_fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d/massact.fish)
  file(MAKE_DIRECTORY ${massact_share})
  foreach(shell bash zsh fish)
    list(APPEND massact_make COMMAND massact completion ${shell} > ${massact_share}/massact.${shell})
    get_filename_component(folder ${massact_made_${shell}} DIRECTORY)
    get_filename_component(name ${massact_made_${shell}} NAME)
    install(FILES ${massact_share}/massact.${shell} DESTINATION ${folder} RENAME ${name})
  endforeach()
  list(APPEND massact_make COMMAND massact man > ${massact_share}/massact.1)
  add_custom_command(OUTPUT ${massact_share}/massact.bash ${massact_share}/massact.zsh
                            ${massact_share}/massact.fish ${massact_share}/massact.1
                     ${massact_make} DEPENDS massact VERBATIM
                     COMMENT "Writing shell completions and the manual page")
  add_custom_target(massact_share ALL DEPENDS ${massact_share}/massact.1)
  install(FILES ${massact_share}/massact.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
