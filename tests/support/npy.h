// Reads NPY 1.0 arrays of <f4 or <f8 in C order: what reference vectors come in.

#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/text.h"

namespace testing_support {

struct Npy {
  std::vector<std::size_t> shape;
  std::vector<float> values;  // <f8 is rounded.
};

inline base::Result<Npy> ReadNpy(const std::string& path) {
  const auto wrong = [&path](const char* what) {
    return base::Error{base::ErrorCode::kCorrupt, path + ": " + what};
  };
  ASSIGN_OR_RETURN(const base::Bytes bytes,
                   base::ReadFile(base::SystemFileSystem(), path, std::uint64_t{256} << 20));
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY\x01", 7) != 0) {
    return wrong("no NPY 1.0");
  }
  const std::size_t header_bytes = bytes[8] + 256u * bytes[9];
  const std::string header(bytes.begin() + 10,
                           bytes.begin() + 10 + static_cast<std::ptrdiff_t>(header_bytes));
  const bool is_double = header.find("'<f8'") != std::string::npos;
  if (!is_double && header.find("'<f4'") == std::string::npos) return wrong("neither <f4 nor <f8");
  Npy array;
  std::size_t count = 1;
  const std::size_t open = header.find('(');
  const std::size_t close = header.find(')');
  if (open == std::string::npos || close == std::string::npos) return wrong("no shape");
  for (const std::string_view part :
       base::Split(std::string_view(header).substr(open + 1, close - open - 1), ',')) {
    if (base::Trim(part).empty()) continue;
    ASSIGN_OR_RETURN(const std::int64_t side, base::ParseInt(base::Trim(part)));
    array.shape.push_back(static_cast<std::size_t>(side));
    count *= static_cast<std::size_t>(side);
  }
  const std::size_t width = is_double ? 8 : 4;
  const std::size_t start = 10 + header_bytes;
  if (bytes.size() != start + count * width) return wrong("another size than its shape says");
  array.values.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (is_double) {
      double value = 0.0;
      std::memcpy(&value, bytes.data() + start + i * width, width);
      array.values[i] = static_cast<float>(value);
    } else {
      std::memcpy(&array.values[i], bytes.data() + start + i * width, width);
    }
  }
  return array;
}

}  // namespace testing_support
