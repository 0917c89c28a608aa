// A fuzz harness: one function that libFuzzer calls with bytes nobody vouches for, hundreds of
// thousands of times.
//
//   bytes ─▶ FUZZ(bytes) { parse; REQUIRE(what must hold whatever they are); }
//
// A crash, a sanitizer's finding, a leak or a broken REQUIRE stops it and keeps the bytes.
// tools/checks/fuzz.sh builds and runs them; corpus/NAME/ is what NAME starts from, and what was
// found once is kept there.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"

#define REQUIRE(condition) CHECK(condition)

namespace fuzz {
void Run(base::ByteView bytes);
}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Run({data, size});
  return 0;
}

#define FUZZ(bytes) void fuzz::Run(base::ByteView bytes)
