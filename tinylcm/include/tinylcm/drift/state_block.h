// StateBlock: what the drift engine has learned, as one block of bytes that is whole or refused.
//
//   "TLCMDRFT" | version | digest of the options | length | the parts, one after the other |
//   CRC-32C
//
// Each part writes its numbers in a fixed order and reads them in the same one; there are no keys
// and no text, so a block is as large as what it holds. Little endian, as all machines this runs
// on are. A block that lost its end, has a flipped bit, or is of another version or of a monitor
// with other options is refused as a whole, and nobody has changed anything by then: the monitor
// reads into a spare copy of itself. Layout: docs/formats/device_state.md.

#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"
#include "base/result.h"

namespace tinylcm::drift {

static_assert(std::endian::native == std::endian::little, "state blocks are little endian");

// Numbers, booleans and enumerators; not structs, whose padding is nobody's value.
template <typename T>
concept StateNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;
// Many of them in a row: a vector, an array, a span. Truth values one by one: two states, no third.
template <typename Range>
concept StateNumbers =
    std::ranges::contiguous_range<Range> && StateNumber<std::ranges::range_value_t<Range>> &&
    !std::is_same_v<std::ranges::range_value_t<Range>, bool>;

// A short name of all that must be equal for a state to fit: FNV-1a, 64 bits. Not against malice.
class OptionsDigest {
 public:
  template <StateNumber T>
  OptionsDigest& Add(T value) {
    std::uint8_t bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    return AddBytes(bytes);
  }
  template <StateNumbers Range>
  OptionsDigest& AddSpan(const Range& values) {
    Add(static_cast<std::uint64_t>(std::ranges::size(values)));
    for (const auto value : values) Add(value);
    return *this;
  }
  OptionsDigest& AddText(std::string_view text) {
    Add(static_cast<std::uint64_t>(text.size()));
    return AddBytes(base::AsBytes(text));
  }
  std::uint64_t value() const { return value_; }

 private:
  OptionsDigest& AddBytes(base::ByteView bytes) {
    for (const std::uint8_t byte : bytes) value_ = (value_ ^ byte) * 0x100000001b3u;
    return *this;
  }
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

// Gathers the parts. Allocates, once for a block of up to 64 KiB: for the control thread.
class StateWriter {
 public:
  StateWriter();

  // Says which part comes; a reader that expects another one refuses the block.
  void Section(std::string_view name);

  template <StateNumber T>
  void Put(T value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }
  // The numbers alone: how many there are is known to the reader.
  template <StateNumbers Range>
  void PutSpan(const Range& range) {
    const std::span values(range);
    if (values.empty()) return;
    const std::size_t at = bytes_.size();
    bytes_.resize(at + values.size_bytes());
    std::memcpy(bytes_.data() + at, values.data(), values.size_bytes());
  }

  // The block. `version`: of the layout; `digest`: of the options.
  base::Bytes Seal(std::uint32_t version, std::uint64_t digest) &&;

 private:
  base::Bytes bytes_;  // The block; its header is filled in by Seal.
};

// Gives the parts back, one after the other. The first thing that is wrong stays: ask status() at
// the end; until then wrong numbers are zero.
class StateReader {
 public:
  // kCorrupt: not a whole block; kUnsupported: of another version; kInvalidArgument: of a monitor
  // with other options. Borrows the bytes.
  static base::Result<StateReader> Open(base::ByteView block, std::uint32_t version,
                                        std::uint64_t digest);

  void Section(std::string_view name);

  template <StateNumber T>
  T Get() {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = Get<std::uint8_t>();
      if (byte > 1) Refuse("a truth value is neither 0 nor 1");
      return byte == 1;
    } else {
      T value{};
      Take(&value, sizeof(T));
      return value;
    }
  }
  // At most `max`, or the block is refused.
  template <StateNumber T>
  T GetUpTo(T max) {
    const T value = Get<T>();
    if (value <= max) return value;
    Refuse("a number is beyond what it can be");
    return T{};
  }
  // Neither infinite nor not a number, or the block is refused.
  template <typename T>
    requires std::is_floating_point_v<T>
  T GetFinite() {
    const T value = Get<T>();
    if (std::isfinite(value)) return value;
    Refuse("a number is not finite");
    return T{};
  }
  // Fills all of a vector, an array or a span.
  template <StateNumbers Range>
  void GetSpan(Range&& range) {
    const std::span values(range);
    if (!values.empty()) Take(values.data(), values.size_bytes());
  }
  template <StateNumbers Range>
    requires std::is_floating_point_v<std::ranges::range_value_t<Range>>
  void GetFiniteSpan(Range&& range) {
    GetSpan(range);
    for (const auto value : range) {
      if (!std::isfinite(value)) return Refuse("a number is not finite");
    }
  }

  // "drift state: ranks: why". Only the first counts.
  void Refuse(std::string_view why);
  bool ok() const { return status_.ok(); }
  const base::Status& status() const { return status_; }
  // status(), or kCorrupt where bytes are left over.
  base::Status AtEnd();

 private:
  explicit StateReader(base::ByteView bytes) : bytes_(bytes) {}
  void Take(void* to, std::size_t size);

  base::ByteView bytes_;
  std::size_t at_ = 0;
  std::string section_ = "header";
  base::Status status_;
};

}  // namespace tinylcm::drift
