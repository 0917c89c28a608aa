#include "tinylcm/datalog/pictures.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace tinylcm::datalog {

namespace {

constexpr base::Duration kDay = std::chrono::hours(24);
constexpr std::size_t kBlock = 512;

// POSIX 1003.1, "ustar Interchange Format": where a header's fields lie.
struct TarField {
  std::size_t offset;
  std::size_t bytes;
};
constexpr TarField kName{0, 100}, kMode{100, 8}, kUser{108, 8}, kGroup{116, 8}, kSize{124, 12},
    kModified{136, 12}, kChecksum{148, 8}, kType{156, 1}, kMagic{257, 8};

using Header = std::array<char, kBlock>;

void PutText(Header& header, TarField field, std::string_view text) {
  std::copy_n(text.begin(), std::min(text.size(), field.bytes),
              header.begin() + static_cast<std::ptrdiff_t>(field.offset));
}

// Octal digits with leading zeros, then a NUL.
void PutOctal(Header& header, TarField field, std::uint64_t value) {
  for (std::size_t i = field.bytes - 1; i-- > 0; value >>= 3) {
    header[field.offset + i] = static_cast<char>('0' + (value & 7u));
  }
}

std::uint32_t Checksum(const Header& header) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool is_own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.bytes;
    sum += is_own ? ' ' : static_cast<unsigned char>(header[i]);
  }
  return sum;
}

bool ReadOctal(const Header& header, TarField field, std::uint64_t& value) {
  const char* begin = header.data() + field.offset;
  return std::from_chars(begin, begin + field.bytes, value, 8).ec == std::errc();
}

std::size_t RoundUp(std::size_t bytes) { return (bytes + kBlock - 1) / kBlock * kBlock; }

}  // namespace

const char* Name(ImageReason reason) {
  switch (reason) {
    case ImageReason::kDrift:
      return "drift";
    case ImageReason::kLowConfidence:
      return "low_confidence";
    case ImageReason::kEvery:
      return "every";
  }
  return "";
}

std::optional<ImageReason> ImageSampler::Wants(const Record& record) {
  if (record.signal == drift::DriftSignal::kDrift) drift_left_ = options_.on_drift;
  if (drift_left_ > 0) {
    --drift_left_;
    return ImageReason::kDrift;
  }
  if (record.confidence < options_.below_confidence) return ImageReason::kLowConfidence;
  if (options_.every > 0 && record.index % options_.every == 0) return ImageReason::kEvery;
  return std::nullopt;
}

void ImageBudget::Forget(base::Duration now) {
  while (!kept_.empty() && now - kept_.front().at >= kDay) {
    bytes_ -= kept_.front().bytes;
    kept_.pop_front();
  }
}

bool ImageBudget::has_room(base::Duration now) {
  Forget(now);
  return kept_.size() < options_.per_day && bytes_ < options_.bytes_per_day;
}

bool ImageBudget::has_room(base::Duration now, std::uint64_t bytes) {
  return has_room(now) && bytes_ + bytes <= options_.bytes_per_day;
}

bool ImageBudget::Take(base::Duration now, std::uint64_t bytes) {
  if (!has_room(now, bytes)) return false;
  kept_.push_back({now, bytes});
  bytes_ += bytes;
  return true;
}

std::string PictureName(std::uint64_t index, ImageReason reason) {
  std::string digits = std::to_string(index);
  if (digits.size() < 12) digits.insert(0, 12 - digits.size(), '0');
  return base::StrCat(digits, "_", Name(reason), ".jpg");
}

void AppendPictureEntry(std::uint64_t index, ImageReason reason, base::Time time,
                        base::ByteView jpeg, std::string& out) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  Header header{};
  PutText(header, kName, PictureName(index, reason));
  PutOctal(header, kMode, 0600);
  PutOctal(header, kUser, 0);
  PutOctal(header, kGroup, 0);
  PutOctal(header, kSize, jpeg.size());
  PutOctal(header, kModified, static_cast<std::uint64_t>(std::max<std::int64_t>(0, seconds)));
  PutText(header, kType, "0");
  PutText(header, kMagic, std::string_view("ustar\00000", 8));
  PutOctal(header, {kChecksum.offset, kChecksum.bytes - 1}, Checksum(header));
  header[kChecksum.offset + kChecksum.bytes - 1] = ' ';
  out.append(header.data(), header.size());
  out += base::AsText(jpeg);
  out.append(RoundUp(jpeg.size()) - jpeg.size(), '\0');
}

ReadReport ReadPictures(base::ByteView file,
                        const std::function<void(const PictureEntry&)>& on_picture) {
  ReadReport report;
  report.bytes = file.size();
  const auto lose = [&](std::size_t at, std::size_t bytes) {
    if (!report.damaged.empty() &&
        report.damaged.back().offset + report.damaged.back().bytes == at) {
      report.damaged.back().bytes += bytes;
    } else {
      report.damaged.push_back({.offset = at, .bytes = bytes});
    }
  };
  for (std::size_t at = 0; at < file.size();) {
    const std::size_t left = file.size() - at;
    Header header{};
    std::uint64_t size = 0, checksum = 0, modified = 0;
    bool is_whole = left >= kBlock;
    if (is_whole) {
      std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(at), kBlock, header.begin());
      is_whole = ReadOctal(header, kChecksum, checksum) && checksum == Checksum(header) &&
                 ReadOctal(header, kSize, size) && ReadOctal(header, kModified, modified) &&
                 size <= left - kBlock && RoundUp(size) <= left - kBlock;
    }
    if (!is_whole) {
      lose(at, std::min(left, kBlock));
      at += std::min(left, kBlock);
      continue;
    }
    PictureEntry entry;
    const std::string_view name(header.data(), kName.bytes);
    entry.name = name.substr(0, name.find('\0'));
    entry.time = base::Time{std::chrono::seconds(modified)};
    entry.jpeg = file.subspan(at + kBlock, size);
    ++report.entries;
    on_picture(entry);
    at += kBlock + RoundUp(size);
  }
  if (!report.damaged.empty()) {
    Damage& last = report.damaged.back();
    last.is_tail = last.offset + last.bytes == report.bytes;
  }
  return report;
}

}  // namespace tinylcm::datalog
