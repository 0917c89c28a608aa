#include "tinylcm/sync/transport.h"

#include <algorithm>

namespace tinylcm::sync {

base::Result<std::size_t> MemoryBody::ReadAt(std::uint64_t offset,
                                             std::span<std::uint8_t> out) const {
  if (offset >= bytes_.size()) return std::size_t{0};
  const base::ByteView rest = bytes_.subspan(static_cast<std::size_t>(offset));
  const std::size_t count = std::min(out.size(), rest.size());
  std::copy_n(rest.begin(), count, out.begin());
  return count;
}

base::Result<std::size_t> FileBody::ReadAt(std::uint64_t offset,
                                           std::span<std::uint8_t> out) const {
  if (offset >= bytes_) return std::size_t{0};
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), bytes_ - offset));
  return file_.ReadAt(offset_ + offset, out.first(count));
}

const std::string* HttpAnswer::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return &value;
  }
  return nullptr;
}

bool IsLoopback(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end != std::string_view::npos && host.substr(0, end + 1) == "[::1]";
  }
  host = host.substr(0, host.find(':'));
  if (host == "localhost") return true;
  // Only digits and dots: "127.0.0.1.example.com" is somebody else.
  return host.starts_with("127.") &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace tinylcm::sync
