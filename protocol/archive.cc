// The parts of archive.h that need no library.

#include "protocol/archive.h"

#include <algorithm>

#include "base/text.h"

namespace protocol {

const char* Name(ArchiveFormat format) {
  switch (format) {
    case ArchiveFormat::kTarGz:
      return "tar.gz";
    case ArchiveFormat::kZip:
      return "zip";
    case ArchiveFormat::kTar:
      return "tar";
    case ArchiveFormat::kTarZst:
      return "tar.zst";
  }
  return "tar.gz";
}

base::Result<ArchiveFormat> ParseArchiveFormat(std::string_view name) {
  for (const ArchiveFormat format :
       {ArchiveFormat::kTarGz, ArchiveFormat::kZip, ArchiveFormat::kTar, ArchiveFormat::kTarZst}) {
    if (name == Name(format)) return format;
  }
  return base::Error{base::ErrorCode::kInvalidArgument,
                     base::StrCat("'", name, "' is none of tar.gz, zip, tar, tar.zst")};
}

base::Result<std::size_t> MemorySource::Read(std::span<std::uint8_t> out) {
  const std::size_t count = std::min(out.size(), left_.size());
  std::copy_n(left_.begin(), count, out.begin());
  left_ = left_.subspan(count);
  return count;
}

base::Result<std::size_t> FileSource::Read(std::span<std::uint8_t> out) {
  ASSIGN_OR_RETURN(const std::size_t count, file_.ReadAt(offset_, out));
  offset_ += count;
  return count;
}

}  // namespace protocol
