// Plain text: what a device calls something, as it may lie in a column and stand on a line.

#pragma once

#include <string>
#include <string_view>

namespace tinysphere::series {

// Control characters become '?'. The rest is UTF-8 already: it came out of JSON.
inline std::string PlainText(std::string_view text) {
  std::string plain(text);
  for (char& c : plain) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return plain;
}

}  // namespace tinysphere::series
