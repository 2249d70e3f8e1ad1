# attest_add_test(NAME SOURCES a_test.cpp ... LIBRARIES lib ... LABELS unit ... [TIMEOUT seconds]): one GoogleTest binary, each of its
# tests an entry of ctest. Labels: unit (seconds), vm (runs PTX), jit (needs NVRTC), property, slow, gpu (skips with a reason).
function(attest_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  # A third less to compile; what takes time is in the libraries.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1> $<$<CONFIG:Sanitize>:-O0>)
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE ATTEST_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  include(GoogleTest)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  gtest_discover_tests(${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  set(environment "ATTEST_CACHE=${CMAKE_BINARY_DIR}/kernel-cache")
  if(ATTEST_SANITIZE AND "jit" IN_LIST ARG_LABELS)
    # One run of some hundred in which NVRTC compiles ends in "LeakSanitizer has encountered a fatal error": leaks are looked for elsewhere.
    list(APPEND environment "ASAN_OPTIONS=detect_leaks=0")
  endif()
  # gtest_discover_tests takes lists apart, so lists are set in a file of their own, which ctest reads after the discovered tests.
  set(lists ${CMAKE_CURRENT_BINARY_DIR}/${name}_lists.cmake)
  file(WRITE ${lists} "set_tests_properties(\${${name}_TESTS} PROPERTIES LABELS \"${ARG_LABELS}\" ENVIRONMENT \"${environment}\")\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${lists})
endfunction()
