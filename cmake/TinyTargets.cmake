# tiny_library(NAME [SOURCES ...] [LINKS ...])   a folder's library; LINKS are its arrows
# tiny_test(NAME SOURCES ... [LINKS ...])        one GoogleTest program, registered with ctest
# tiny_program(NAME SOURCES ... [LINKS ...])     a binary in build/<preset>/bin

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

find_program(TINY_CCACHE ccache)
if(TINY_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TINY_CCACHE})
endif()

add_library(tiny_options INTERFACE)
target_include_directories(tiny_options INTERFACE ${CMAKE_SOURCE_DIR})
# What warns is settled by one compiler; another (preset fuzz) compiles all the same.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(tiny_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
endif()
target_compile_options(tiny_options INTERFACE -ffp-contract=off)
if(TINYMLOPS_SANITIZE)
  target_compile_options(tiny_options INTERFACE
    -fsanitize=${TINYMLOPS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(tiny_options INTERFACE -fsanitize=${TINYMLOPS_SANITIZE})
endif()
target_link_libraries(tiny_options INTERFACE Threads::Threads)

function(tiny_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC tiny_options ${ARG_LINKS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE tiny_options ${ARG_LINKS})
  endif()
endfunction()

function(tiny_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE tiny_options ${ARG_LINKS})
endfunction()

function(tiny_test name)
  if(NOT TINYMLOPS_TESTS)
    return()
  endif()
  find_package(GTest REQUIRED)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE tiny_options ${ARG_LINKS} GTest::gtest GTest::gtest_main)
  if(CMAKE_CROSSCOMPILING)
    # Under an emulator it is the compiling that takes long.
    target_compile_options(${name} PRIVATE -O1)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endfunction()
