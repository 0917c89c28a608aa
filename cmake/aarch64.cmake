# Compiles for a 64-bit Raspberry Pi on another machine: Debian's cross compiler, against the libraries of
# tools/setup/sysroot-arm64.sh and no others. Test programs run under qemu as that processor; as `max` it
# would have instructions whose int8 results are wrong there.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CXX_FLAGS_INIT -mcpu=cortex-a53)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

# CMake reads this file again for each of its trials, which know only what is named here.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TINYMLOPS_SYSROOT)
if(NOT TINYMLOPS_SYSROOT)
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../tools/setup/sysroot-arm64.sh --installed
    OUTPUT_VARIABLE TINYMLOPS_SYSROOT OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()

set(CMAKE_SYSROOT ${TINYMLOPS_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${TINYMLOPS_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
  ${TINYMLOPS_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${TINYMLOPS_SYSROOT}/usr/share/pkgconfig)

set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-aarch64-static -cpu cortex-a53 -L ${TINYMLOPS_SYSROOT})
