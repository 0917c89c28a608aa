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
  if (!read.ok()) return;
  // An older version comes back as the newest, and from then on to the byte.
  const base::Bytes written = tinylcm::adapt::Serialise(*read);
  constexpr std::size_t kVersionAt = 4;
  if (written[kVersionAt] == file[kVersionAt]) {
    REQUIRE(written == file);
  } else {
    const auto again = tinylcm::adapt::ParseAdaptation(written);
    REQUIRE(again.ok() && tinylcm::adapt::Serialise(*again) == written);
  }
}
