#include "tinylcm/drift/state_block.h"

#include <utility>

#include "base/text.h"

namespace tinylcm::drift {

namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kMagic = "TLCMDRFT";
constexpr std::size_t kHeader = 8 + 4 + 8 + 8;
constexpr std::size_t kCrc = 4;
// What ten classes of 256 channels stay within.
constexpr std::size_t kRoom = 64 * 1024;

template <typename T>
T ReadAt(base::ByteView bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

std::uint32_t TagOf(std::string_view name) {
  return static_cast<std::uint32_t>(OptionsDigest().AddText(name).value());
}

}  // namespace

StateWriter::StateWriter() {
  bytes_.reserve(kRoom);
  bytes_.resize(kHeader);
}

void StateWriter::Section(std::string_view name) { Put(TagOf(name)); }

base::Bytes StateWriter::Seal(std::uint32_t version, std::uint64_t digest) && {
  const std::uint64_t length = bytes_.size() - kHeader;
  std::memcpy(bytes_.data(), kMagic.data(), kMagic.size());
  std::memcpy(bytes_.data() + 8, &version, sizeof(version));
  std::memcpy(bytes_.data() + 12, &digest, sizeof(digest));
  std::memcpy(bytes_.data() + 20, &length, sizeof(length));
  Put(base::Crc32c(bytes_));
  return std::move(bytes_);
}

base::Result<StateReader> StateReader::Open(base::ByteView block, std::uint32_t version,
                                            std::uint64_t digest) {
  if (block.size() < kHeader + kCrc || base::AsText(block.first(kMagic.size())) != kMagic) {
    return Error{ErrorCode::kCorrupt, "drift state: this is none"};
  }
  const auto found_version = ReadAt<std::uint32_t>(block, 8);
  if (found_version != version) {
    return Error{ErrorCode::kUnsupported, base::StrCat("drift state: is of version ", found_version,
                                                       ", this program reads ", version)};
  }
  if (ReadAt<std::uint64_t>(block, 20) != block.size() - kHeader - kCrc) {
    return Error{ErrorCode::kCorrupt, "drift state: is not as long as it says"};
  }
  const base::ByteView checked = block.first(block.size() - kCrc);
  if (ReadAt<std::uint32_t>(block, checked.size()) != base::Crc32c(checked)) {
    return Error{ErrorCode::kCorrupt, "drift state: its checksum is wrong"};
  }
  if (ReadAt<std::uint64_t>(block, 12) != digest) {
    return Error{ErrorCode::kInvalidArgument,
                 "drift state: is of a monitor with other options or of another bundle"};
  }
  return StateReader(checked.subspan(kHeader));
}

void StateReader::Section(std::string_view name) {
  section_ = name;
  if (Get<std::uint32_t>() != TagOf(name)) Refuse("is not where it should be");
}

void StateReader::Refuse(std::string_view why) {
  if (!status_.ok()) return;
  status_ = Error{ErrorCode::kCorrupt, base::StrCat("drift state: ", section_, ": ", why)};
}

base::Status StateReader::AtEnd() {
  if (at_ != bytes_.size()) Refuse("bytes are left over");
  return status_;
}

void StateReader::Take(void* to, std::size_t size) {
  if (bytes_.size() - at_ < size) {
    Refuse("ends too early");
    at_ = bytes_.size();
  }
  if (!status_.ok()) {
    std::memset(to, 0, size);
    return;
  }
  std::memcpy(to, bytes_.data() + at_, size);
  at_ += size;
}

}  // namespace tinylcm::drift
