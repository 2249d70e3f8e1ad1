# Compiler flags that every target shares. Contraction is off because a fused multiply-add must be one that the source asked for:
# the virtual machine and the bounds count roundings.
add_compile_options(-ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Werror)
else()
  add_compile_options(-w)  # GCC is the compiler whose warnings count
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)  # false alarms on std::string concatenation, GCC bug 105651
endif()
if(ATTEST_MARCH)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-march=${ATTEST_MARCH} ATTEST_HAS_MARCH)
  if(NOT ATTEST_HAS_MARCH)
    message(FATAL_ERROR "ATTEST_MARCH=${ATTEST_MARCH}: the compiler does not know -march=${ATTEST_MARCH}")
  endif()
  add_compile_options(-march=${ATTEST_MARCH})
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13 AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # With AVX-512, GCC 12.2 at -O2 compiles `std::vector<double> v{1, 1, 1}; v = {1, 1, 1, 0};` to a v whose last element is 1.
  add_compile_options(-mno-avx512f)
endif()
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")  # asserts stay
set(CMAKE_CXX_FLAGS_SANITIZE "-O1 -g1")  # the build type of the presets `sanitize` and `fuzz`
if(ATTEST_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)  # GCC 12 reports its own instrumentation
  endif()
endif()
