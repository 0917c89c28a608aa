#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/text.h"
#include "tinylcm/source/framer.h"
#include "tinylcm/src/source/rows.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

CsvFramer::CsvFramer(RowOptions options) : options_(std::move(options)) {}
CsvFramer::~CsvFramer() = default;

// RFC 4180 fields of one line. False if a quote is not closed or something follows one.
bool CsvFramer::SplitFields(std::string_view line) {
  fields_.clear();
  unquoted_.clear();
  unquoted_.reserve(line.size());  // It never moves while fields point into it.
  std::size_t at = 0;
  while (true) {
    if (at < line.size() && line[at] == '"') {
      ++at;
      const std::size_t begin = unquoted_.size();
      while (true) {
        if (at >= line.size()) return false;
        if (line[at] == '"') {
          if (at + 1 < line.size() && line[at + 1] == '"') {
            unquoted_ += '"';
            at += 2;
            continue;
          }
          ++at;
          break;
        }
        unquoted_ += line[at++];
      }
      if (at < line.size() && line[at] != ',') return false;
      fields_.push_back(std::string_view(unquoted_).substr(begin));
    } else {
      const std::size_t comma = std::min(line.find(',', at), line.size());
      fields_.push_back(base::Trim(line.substr(at, comma - at)));
      at = comma;
    }
    if (at >= line.size()) return true;
    ++at;  // The comma; a field follows it, if an empty one.
  }
}

void CsvFramer::Take(base::ByteView bytes) { TakeBytes(buffer_, begin_, bytes); }

void CsvFramer::End() { ended_ = true; }

void CsvFramer::Restart() {
  buffer_.clear();
  begin_ = 0;
  line_ = 0;
  ended_ = false;
  skipping_ = false;
  have_header_ = false;
  gave_any_ = false;
  header_error_.reset();
}

Error CsvFramer::At(std::string_view field, const std::string& reason) const {
  std::string where = base::StrCat(options_.name, ":", line_, ": ");
  if (!field.empty()) where += base::StrCat(field, ": ");
  return {ErrorCode::kInvalidArgument, where + reason};
}

std::optional<Error> CsvFramer::ReadHeader(std::string_view line) {
  if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);  // Some programs write a mark.
  if (!SplitFields(line)) return At("", "header: a quote is not closed");
  const std::vector<std::string> names(fields_.begin(), fields_.end());
  const auto find = [&](const std::string& name) -> std::optional<std::size_t> {
    const auto found = std::find(names.begin(), names.end(), name);
    if (name.empty() || found == names.end()) return std::nullopt;
    return static_cast<std::size_t>(found - names.begin());
  };
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) return At("", base::StrCat("header: column ", i + 1, " has no name"));
    if (*find(names[i]) != i) return At(names[i], "header: the column is there twice");
  }
  field_count_ = names.size();
  label_ = find(options_.label_column);
  number_ = find(options_.number_column);
  if (!options_.label_column.empty() && !label_) {
    return At(options_.label_column, "header: no such column");
  }
  columns_.clear();
  channels_.clear();
  if (options_.columns.empty()) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (label_ == i || number_ == i) continue;
      columns_.push_back(i);
      channels_.push_back(names[i]);
    }
  } else {
    for (const std::string& name : options_.columns) {
      const auto column = find(name);
      if (!column) return At(name, "header: no such column");
      columns_.push_back(*column);
      channels_.push_back(name);
    }
  }
  if (columns_.empty()) return At("", "header: no channels");
  if (options_.channels != 0 && columns_.size() != options_.channels) {
    return At("",
              base::StrCat("header: ", columns_.size(), " channels, expected ", options_.channels));
  }
  return std::nullopt;
}

base::Result<Frame> CsvFramer::ReadRow(std::string_view line) {
  if (!SplitFields(line)) return At("", "a quote is not closed");
  if (fields_.size() != field_count_) {
    return At("", base::StrCat(fields_.size(), " fields, expected ", field_count_));
  }
  Frame frame = Blank();
  frame.row.reserve(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::string_view field = fields_[columns_[i]];
    const auto number = base::ParseDouble(field);
    const float value = number.ok() ? static_cast<float>(*number) : 0.0f;
    // A double beyond float's range becomes infinite.
    if (!number.ok() || !std::isfinite(value)) {
      return At(channels_[i],
                field.empty() ? "empty" : base::StrCat("\"", field, "\" is not a finite number"));
    }
    frame.row.push_back(value);
  }
  if (label_) frame.label = fields_[*label_];
  if (number_) {
    const auto number = base::ParseInt(fields_[*number_]);
    if (!number.ok() || *number < 0 || *number > std::numeric_limits<std::uint32_t>::max()) {
      return At(options_.number_column, base::StrCat("\"", fields_[*number_], "\" is not a count"));
    }
    frame.frame_number = static_cast<std::uint32_t>(*number);
  }
  return frame;
}

std::optional<base::Result<Frame>> CsvFramer::Next() {
  while (true) {
    auto line = NextLine({buffer_, begin_, line_, skipping_, ended_}, options_.name,
                         options_.line_bytes_max);
    if (!line) {
      if (!ended_ || gave_any_) return std::nullopt;
      gave_any_ = true;
      return have_header_ ? At("", "a header and no row")
                          : Error{ErrorCode::kInvalidArgument, options_.name + ": is empty"};
    }
    if (!line->ok()) {
      gave_any_ = true;
      if (!have_header_) header_error_ = line->error();
      have_header_ = true;
      return line->error();
    }
    const std::string_view text = **line;
    if (base::Trim(text).empty()) continue;
    if (!have_header_) {
      have_header_ = true;
      header_error_ = ReadHeader(text);
      if (header_error_) {
        gave_any_ = true;
        return *header_error_;
      }
      continue;
    }
    gave_any_ = true;
    // Every row of a file with an unreadable header is as bad as the header.
    if (header_error_) return *header_error_;
    return ReadRow(text);
  }
}

}  // namespace tinylcm::source
