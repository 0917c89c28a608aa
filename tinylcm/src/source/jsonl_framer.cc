#include <cmath>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "tinylcm/source/framer.h"
#include "tinylcm/src/source/rows.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

JsonlFramer::JsonlFramer(RowOptions options)
    : options_(std::move(options)), channels_(options_.channels) {}
JsonlFramer::~JsonlFramer() = default;

void JsonlFramer::Take(base::ByteView bytes) { TakeBytes(buffer_, begin_, bytes); }

void JsonlFramer::End() { ended_ = true; }

void JsonlFramer::Restart() {
  buffer_.clear();
  begin_ = 0;
  line_ = 0;
  ended_ = false;
  skipping_ = false;
  gave_any_ = false;
}

base::Result<Frame> JsonlFramer::ReadRow(std::string_view line) {
  const std::string where = base::StrCat(options_.name, ":", line_);
  const auto refuse = [&](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, where + ": " + reason};
  };
  const auto parsed =
      base::Json::Parse(line, {.bytes_max = options_.line_bytes_max, .depth_max = 4});
  if (!parsed.ok()) return refuse(parsed.error().message);
  const base::Json& json = *parsed;
  const base::Json* row = json.is_array() ? &json : json.Find("row");
  if (row == nullptr || !row->is_array()) return refuse("row: missing or no array");
  if (channels_ == 0) channels_ = row->as_array().size();
  if (row->as_array().size() != channels_ || channels_ == 0) {
    return refuse(base::StrCat("row: ", row->as_array().size(), " numbers, expected ", channels_));
  }
  Frame frame = Blank();
  frame.row.reserve(channels_);
  for (std::size_t i = 0; i < channels_; ++i) {
    const base::Json& item = row->as_array()[i];
    const float value = item.is_number() ? static_cast<float>(item.as_double()) : NAN;
    if (!std::isfinite(value)) return refuse(base::StrCat("row[", i, "]: not a finite number"));
    frame.row.push_back(value);
  }
  if (const base::Json* label =
          json.Find(options_.label_column.empty() ? "label" : options_.label_column)) {
    if (!label->is_string()) return refuse("label: not a text");
    frame.label = label->as_string();
  }
  if (const base::Json* number = json.Find(options_.number_column)) {
    if (!number->is_int() || number->as_int() < 0 ||
        number->as_int() > std::numeric_limits<std::uint32_t>::max()) {
      return refuse(options_.number_column + ": not a count");
    }
    frame.frame_number = static_cast<std::uint32_t>(number->as_int());
  }
  return frame;
}

std::optional<base::Result<Frame>> JsonlFramer::Next() {
  while (true) {
    auto line = NextLine({buffer_, begin_, line_, skipping_, ended_}, options_.name,
                         options_.line_bytes_max);
    if (!line) {
      if (!ended_ || gave_any_) return std::nullopt;
      gave_any_ = true;
      return Error{ErrorCode::kInvalidArgument, options_.name + ": is empty"};
    }
    if (line->ok() && base::Trim(**line).empty()) continue;
    gave_any_ = true;
    if (!line->ok()) return line->error();
    return ReadRow(**line);
  }
}

}  // namespace tinylcm::source
