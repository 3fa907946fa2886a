# Finds any libtorch: Debian's libtorch-dev, an unpacked libtorch archive, or a Python package.
# libtorch's own TorchConfig.cmake is not used: for a CUDA build it demands the CUDA toolkit, which
# is not needed to link, and a second libtorch on the machine confuses it.
#
#   MASSACT_LIBTORCH   folder with include/ and lib/ (default: the system's)
#
# Defines the target Libtorch::Libtorch and Libtorch_VERSION.
set(MASSACT_LIBTORCH "" CACHE PATH "libtorch's folder, with include/ and lib/ (empty: the system's)")

if(MASSACT_LIBTORCH)
  set(_libtorch_search PATHS ${MASSACT_LIBTORCH} NO_DEFAULT_PATH)
endif()
find_path(Libtorch_INCLUDE_DIR ATen/ATen.h ${_libtorch_search} PATH_SUFFIXES include)
foreach(part torch torch_cpu c10 torch_cuda c10_cuda)
  find_library(Libtorch_${part}_LIBRARY ${part} ${_libtorch_search} PATH_SUFFIXES lib)
  mark_as_advanced(Libtorch_${part}_LIBRARY)
endforeach()

if(Libtorch_INCLUDE_DIR)
  # torch/headeronly/version.h in newer versions, the long path in older ones.
  set(_version_file ${Libtorch_INCLUDE_DIR}/torch/headeronly/version.h)
  if(NOT EXISTS ${_version_file})
    set(_version_file ${Libtorch_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h)
  endif()
  set(_numbers)
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS ${_version_file} _line REGEX "#define TORCH_VERSION_${part} +[0-9]+")
    string(REGEX MATCH "[0-9]+" _number "${_line}")
    list(APPEND _numbers ${_number})
  endforeach()
  list(JOIN _numbers "." Libtorch_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS Libtorch_torch_cpu_LIBRARY Libtorch_c10_LIBRARY Libtorch_INCLUDE_DIR
  VERSION_VAR Libtorch_VERSION)

if(Libtorch_FOUND AND NOT TARGET Libtorch::Libtorch)
  add_library(Libtorch::Libtorch INTERFACE IMPORTED)
  set_target_properties(Libtorch::Libtorch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES
      "${Libtorch_INCLUDE_DIR};${Libtorch_INCLUDE_DIR}/torch/csrc/api/include")
  # The back ends register themselves when loaded; nothing refers to them by name.
  set(_libtorch_link -Wl,--no-as-needed)
  foreach(part torch torch_cpu c10 torch_cuda c10_cuda)
    if(Libtorch_${part}_LIBRARY)
      list(APPEND _libtorch_link ${Libtorch_${part}_LIBRARY})
    endif()
  endforeach()
  target_link_libraries(Libtorch::Libtorch INTERFACE ${_libtorch_link} -Wl,--as-needed)
  # libtorch bundles its own fmt headers; used header-only, they need no second library.
  if(EXISTS ${Libtorch_INCLUDE_DIR}/fmt/format.h AND MASSACT_LIBTORCH)
    target_compile_definitions(Libtorch::Libtorch INTERFACE FMT_HEADER_ONLY=1)
  endif()
endif()
mark_as_advanced(Libtorch_INCLUDE_DIR)
