# Copies the shared libraries that PROGRAM loads, but for the C library's own, into PROGRAM's folder.
get_filename_component(folder ${PROGRAM} DIRECTORY)
file(GLOB earlier ${folder}/*.so*)  # of an earlier link: found twice otherwise
if(earlier)
  file(REMOVE ${earlier})
endif()
file(GET_RUNTIME_DEPENDENCIES
  EXECUTABLES ${PROGRAM}
  RESOLVED_DEPENDENCIES_VAR found
  UNRESOLVED_DEPENDENCIES_VAR missing
  POST_EXCLUDE_REGEXES "/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|util)\\.so[^/]*)$"
)
if(missing)
  message(FATAL_ERROR "${PROGRAM} needs libraries that were not found: ${missing}")
endif()
foreach(library ${found})
  get_filename_component(name ${library} NAME)
  if(NOT library STREQUAL ${folder}/${name})
    file(COPY ${library} DESTINATION ${folder} FOLLOW_SYMLINK_CHAIN)
  endif()
endforeach()
