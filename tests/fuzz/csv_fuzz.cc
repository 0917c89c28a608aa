// CSV rows: any text, torn anywhere, gives the same rows and the same errors.

#include "tests/fuzz/framing.h"

using tinylcm::source::CsvFramer;

FUZZ(bytes) {
  const tinylcm::source::RowOptions options{
      .name = "rows", .label_column = "label", .line_bytes_max = 256};
  const std::string whole = fuzz::SaidOf(CsvFramer(options), bytes, bytes.size() + 1);
  REQUIRE(fuzz::SaidOf(CsvFramer(options), bytes, 7) == whole);
}
