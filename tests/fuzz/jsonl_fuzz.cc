// JSONL rows: any text, torn anywhere, gives the same rows and the same errors.

#include "tests/fuzz/framing.h"

using tinylcm::source::JsonlFramer;

FUZZ(bytes) {
  const tinylcm::source::RowOptions options{.name = "rows", .line_bytes_max = 256};
  const std::string whole = fuzz::SaidOf(JsonlFramer(options), bytes, bytes.size() + 1);
  REQUIRE(fuzz::SaidOf(JsonlFramer(options), bytes, 7) == whole);
}
