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
