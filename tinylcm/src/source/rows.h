// What the two framers of rows share: lines out of a torn stream.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace tinylcm::source {

// Takes the next whole line out of `buffer` from `begin` on, without its end ("\n" or "\r\n").
// nullopt: more bytes are needed. An Error: the line was longer than `bytes_max`; its rest will be
// skipped. `skipping` and `line` (counted from 1) belong to the caller's state.
struct LineState {
  base::Bytes& buffer;
  std::size_t& begin;
  std::uint64_t& line;
  bool& skipping;
  bool ended;
};
std::optional<base::Result<std::string_view>> NextLine(LineState state, const std::string& name,
                                                       std::size_t bytes_max);

// Appends and forgets what was read.
void TakeBytes(base::Bytes& buffer, std::size_t& begin, base::ByteView bytes);

}  // namespace tinylcm::source
