// What a framer says of a stream, as one text; and that it says the same however the stream is
// torn.

#pragma once

#include <string>

#include "base/text.h"
#include "tests/fuzz/fuzz.h"
#include "tinylcm/source/framer.h"

namespace fuzz {

inline void Drain(tinylcm::source::Framer& framer, std::string& said) {
  while (auto next = framer.Next()) {
    if (!next->ok()) {
      said += "error: " + next->error().message + "\n";
      continue;
    }
    tinylcm::source::Frame frame = std::move(*next).value();
    said += "frame " + frame.label + ":";
    if (frame.frame_number) said += base::StrCat(*frame.frame_number);
    for (const float value : frame.row) said += base::StrCat(" ", static_cast<double>(value));
    said.append(reinterpret_cast<const char*>(frame.picture.data()), frame.picture.size());
    said += "\n";
    framer.Recycle(std::move(frame));
  }
}

// `part`: how many bytes come at a time.
inline std::string SaidOf(tinylcm::source::Framer&& framer, base::ByteView stream,
                          std::size_t part) {
  std::string said;
  for (std::size_t at = 0; at < stream.size(); at += part) {
    framer.Take(stream.subspan(at, std::min(part, stream.size() - at)));
    Drain(framer, said);
  }
  framer.End();
  Drain(framer, said);
  return said;
}

}  // namespace fuzz
