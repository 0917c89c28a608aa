// Little-endian numbers, texts and arrays in bytes: how adapt and state write what they keep.
//
// A Reader never reads beyond its bytes and never allocates more than they could hold; the first
// thing wrong is remembered, and every later answer is empty. So a parser reads as a list of fields
// and asks once, at the end, whether all was well.

#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/text.h"

namespace tinylcm::state {

class WireWriter {
 public:
  void U8(std::uint8_t value) { bytes_.push_back(value); }
  void U16(std::uint16_t value) { Little(value, 2); }
  void U32(std::uint32_t value) { Little(value, 4); }
  void U64(std::uint64_t value) { Little(value, 8); }
  void F32(float value) { U32(std::bit_cast<std::uint32_t>(value)); }
  void F64(double value) { U64(std::bit_cast<std::uint64_t>(value)); }
  void Raw(base::ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void Blob(base::ByteView bytes) {
    U32(static_cast<std::uint32_t>(bytes.size()));
    Raw(bytes);
  }
  void Text(std::string_view text) { Blob(base::AsBytes(text)); }
  void Floats(std::span<const float> values) {
    U32(static_cast<std::uint32_t>(values.size()));
    for (const float value : values) F32(value);
  }
  void U16s(std::span<const std::uint16_t> values) {
    U32(static_cast<std::uint32_t>(values.size()));
    for (const std::uint16_t value : values) U16(value);
  }

  const base::Bytes& bytes() const { return bytes_; }
  base::Bytes Take() { return std::move(bytes_); }

 private:
  void Little(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  base::Bytes bytes_;
};

class WireReader {
 public:
  explicit WireReader(base::ByteView bytes) : bytes_(bytes) {}

  std::uint8_t U8() { return static_cast<std::uint8_t>(Little(1)); }
  std::uint16_t U16() { return static_cast<std::uint16_t>(Little(2)); }
  std::uint32_t U32() { return static_cast<std::uint32_t>(Little(4)); }
  std::uint64_t U64() { return Little(8); }
  float F32() { return std::bit_cast<float>(U32()); }
  double F64() { return std::bit_cast<double>(U64()); }
  base::ByteView Raw(std::size_t count) {
    if (!ok_ || bytes_.size() - at_ < count) {
      ok_ = false;
      return {};
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  base::ByteView Blob() { return Raw(U32()); }
  std::string Text() { return std::string(base::AsText(Blob())); }
  std::vector<float> Floats() {
    std::vector<float> values(Count(4));
    for (float& value : values) value = F32();
    return values;
  }
  std::vector<std::uint16_t> U16s() {
    std::vector<std::uint16_t> values(Count(2));
    for (std::uint16_t& value : values) value = U16();
    return values;
  }
  // A count of things that take at least `bytes_each` here; 0 and not ok() where they cannot fit.
  std::uint32_t Count(std::size_t bytes_each) {
    const std::uint32_t count = U32();
    if (!ok_ || (bytes_.size() - at_) / bytes_each < count) {
      ok_ = false;
      return 0;
    }
    return count;
  }

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t position() const { return at_; }

 private:
  std::uint64_t Little(std::size_t count) {
    const base::ByteView bytes = Raw(count);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
    return value;
  }

  base::ByteView bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

// What begins with a magic of four bytes and a version, and ends with the CRC-32C of all before it.
struct Framed {
  WireReader reader;  // Of what lies between the version and the CRC.
  std::uint32_t version = 0;
};

// kCorrupt for bytes that were not written so or did not stay so, kUnsupported for a version
// outside [version_min, version_max]; the message begins with `what`.
inline base::Result<Framed> OpenFrame(base::ByteView bytes, base::ByteView magic,
                                      std::uint32_t version_min, std::uint32_t version_max,
                                      std::string_view what) {
  const auto corrupt = [&](std::string_view how) {
    return base::Error{base::ErrorCode::kCorrupt, base::StrCat(what, ": ", how)};
  };
  constexpr std::size_t kCrcBytes = 4;
  if (bytes.size() < magic.size() + 4 + kCrcBytes) return corrupt("cut short");
  const base::ByteView covered = bytes.first(bytes.size() - kCrcBytes);
  WireReader crc(bytes.last(kCrcBytes));
  if (crc.U32() != base::Crc32c(covered)) return corrupt("CRC differs");
  Framed framed{.reader = WireReader(covered)};
  if (base::AsText(framed.reader.Raw(magic.size())) != base::AsText(magic)) {
    return corrupt("not one");
  }
  framed.version = framed.reader.U32();
  if (framed.version >= version_min && framed.version <= version_max) return framed;
  return base::Error{base::ErrorCode::kUnsupported,
                     base::StrCat(what, ": version ", framed.version)};
}

}  // namespace tinylcm::state
