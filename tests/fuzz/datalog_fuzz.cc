// The log's files, torn and flipped: what is counted as read was read, and no more is lost than
// there is. The binary format's checksums would keep the fuzzer out of what lies behind them, so
// its entries are also made of the bytes: type, length, payload.

#include <algorithm>
#include <string>

#include "tests/fuzz/fuzz.h"
#include "tinylcm/datalog/format.h"

namespace datalog = tinylcm::datalog;

namespace {

void Read(datalog::Format format, base::ByteView file) {
  std::uint64_t entries = 0;
  const auto report = datalog::ReadLog(format, file, [&](const datalog::Entry&) { ++entries; });
  if (!report.ok()) return;
  REQUIRE(report->entries == entries);
  REQUIRE(report->lost_bytes() <= file.size());
  REQUIRE(report->Describe().empty() == report->damaged.empty());
}

void Append32(base::Bytes& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

base::Bytes Framed(base::ByteView bytes) {
  base::Bytes file = base::ToBytes("TLCMLOG\x01");
  while (bytes.size() >= 2) {
    const std::size_t length = std::min<std::size_t>(bytes[1], bytes.size() - 2);
    base::Bytes checked{bytes[0]};
    Append32(checked, static_cast<std::uint32_t>(length));
    checked.insert(checked.end(), bytes.begin() + 2,
                   bytes.begin() + 2 + static_cast<std::ptrdiff_t>(length));
    file.insert(file.end(), {'T', 'L'});
    file.insert(file.end(), checked.begin(), checked.begin() + 5);
    Append32(file, base::Crc32c(checked));
    file.insert(file.end(), checked.begin() + 5, checked.end());
    bytes = bytes.subspan(2 + length);
  }
  return file;
}

}  // namespace

FUZZ(bytes) {
  Read(datalog::Format::kJsonl, bytes);
  Read(datalog::Format::kCsv, bytes);
  Read(datalog::Format::kBinary, bytes);
  Read(datalog::Format::kBinary, Framed(bytes));
}
