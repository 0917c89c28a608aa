// A camera's pipe: any bytes, torn anywhere, are split into the same pictures.

#include "tests/fuzz/framing.h"

using tinylcm::source::MjpegSplitter;

FUZZ(bytes) {
  const MjpegSplitter::Options options{.frame_bytes_max = 2048};
  const std::string whole = fuzz::SaidOf(MjpegSplitter(options), bytes, bytes.size() + 1);
  REQUIRE(fuzz::SaidOf(MjpegSplitter(options), bytes, 13) == whole);
}
