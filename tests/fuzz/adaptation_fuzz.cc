// What a device has learned, as it lies on its disk: read as it was written, or refused. The bytes
// get the checksum that would keep the fuzzer out.

#include "tests/fuzz/fuzz.h"
#include "tinylcm/adapt/adaptation.h"

FUZZ(bytes) {
  base::Bytes file(bytes.begin(), bytes.end());
  const std::uint32_t crc = base::Crc32c(file);
  for (int shift = 0; shift < 32; shift += 8) {
    file.push_back(static_cast<std::uint8_t>(crc >> shift));
  }
  const auto read = tinylcm::adapt::ParseAdaptation(file);
  if (read.ok()) REQUIRE(tinylcm::adapt::Serialise(*read) == file);
}
