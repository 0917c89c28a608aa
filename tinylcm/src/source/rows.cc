#include "tinylcm/src/source/rows.h"

#include <algorithm>

#include "base/text.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

void TakeBytes(base::Bytes& buffer, std::size_t& begin, base::ByteView bytes) {
  buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(begin));
  begin = 0;
  buffer.insert(buffer.end(), bytes.begin(), bytes.end());
}

std::optional<base::Result<std::string_view>> NextLine(LineState state, const std::string& name,
                                                       std::size_t bytes_max) {
  while (true) {
    const auto from = state.buffer.begin() + static_cast<std::ptrdiff_t>(state.begin);
    const auto newline = std::find(from, state.buffer.end(), std::uint8_t{'\n'});
    const bool whole = newline != state.buffer.end();
    std::size_t length = static_cast<std::size_t>(newline - from);
    if (!whole && !state.ended && length <= bytes_max) return std::nullopt;
    if (!whole && length == 0) return std::nullopt;  // The end.
    const std::size_t start = state.begin;
    state.begin += length + (whole ? 1 : 0);
    if (state.skipping) {
      state.skipping = !whole;
      continue;
    }
    ++state.line;
    if (length > bytes_max) {
      state.skipping = !whole;
      return base::Result<std::string_view>(Error{
          ErrorCode::kInvalidArgument,
          base::StrCat(name, ":", state.line, ": line is longer than ", bytes_max, " bytes")});
    }
    if (length > 0 && state.buffer[start + length - 1] == '\r') --length;
    return base::Result<std::string_view>(
        base::AsText(base::ByteView(state.buffer).subspan(start, length)));
  }
}

}  // namespace tinylcm::source
