// How alarms and changes are read, and how a result is written.

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "tinylcm/evaluation/detection.h"

namespace tinylcm::evaluation {

namespace {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::StrCat;

base::Result<std::uint64_t> ReadIndex(std::string_view text) {
  const auto number = base::ParseInt(text);
  if (number.ok() && *number >= 0) return static_cast<std::uint64_t>(*number);
  return Error{ErrorCode::kInvalidArgument,
               StrCat("\"", text, "\" is no index (0 is the first sample)")};
}

bool IsComment(std::string_view line) { return line.empty() || line.front() == '#'; }

// Nothing for a line that is no alarm.
base::Result<std::optional<std::uint64_t>> ReadAlarm(std::string_view line) {
  if (line.front() != '{') {
    ASSIGN_OR_RETURN(const std::uint64_t index, ReadIndex(line));
    return std::optional(index);
  }
  ASSIGN_OR_RETURN(const Json object, Json::Parse(line));
  const Json* kind = object.Find("kind");
  if (kind != nullptr && kind->is_string() && kind->as_string() == "warning") {
    return std::optional<std::uint64_t>();
  }
  for (const char* key : {"index", "sample_index", "row"}) {
    const Json* index = object.Find(key);
    if (index == nullptr) continue;
    if (index->is_int() && index->as_int() >= 0) {
      return std::optional(static_cast<std::uint64_t>(index->as_int()));
    }
    return Error{ErrorCode::kInvalidArgument, StrCat(key, ": ", index->Write(), " is no index")};
  }
  return Error{ErrorCode::kInvalidArgument, "neither \"index\", \"sample_index\" nor \"row\""};
}

// JSON knows no infinity.
void SetNumber(Json& object, const char* key, const std::optional<double>& value) {
  object.Set(key, value && std::isfinite(*value) ? Json(*value) : Json());
}

std::string Cell(const std::optional<double>& value) {
  if (!value) return "-";
  if (std::isinf(*value)) return "inf";
  // Indices and lengths are not cut to three digits.
  if (std::abs(*value) >= 1000.0) return StrCat(static_cast<std::int64_t>(std::llround(*value)));
  return base::FormatShort(*value);
}

std::string RunLengthCell(const Detection& detection) {
  if (detection.run_length) {
    return StrCat(Cell(detection.run_length), " (", Cell(detection.run_length_low), " to ",
                  Cell(detection.run_length_high), ")");
  }
  return detection.run_length_low ? StrCat("over ", Cell(detection.run_length_low)) : "-";
}

struct Row {
  std::string name;
  std::vector<std::string> cells;
};

}  // namespace

base::Result<std::vector<std::uint64_t>> ReadAlarms(std::string_view text) {
  std::vector<std::uint64_t> alarms;
  std::size_t number = 0;
  for (const std::string_view raw : base::Split(text, '\n')) {
    ++number;
    const std::string_view line = base::Trim(raw);
    if (IsComment(line)) continue;
    const auto alarm = ReadAlarm(line);
    if (!alarm.ok()) return alarm.error().Within(StrCat("line ", number));
    if (*alarm) alarms.push_back(**alarm);
  }
  return alarms;
}

base::Result<std::vector<Change>> ReadChanges(std::string_view text) {
  std::vector<Change> changes;
  std::size_t number = 0;
  for (const std::string_view raw : base::Split(text, '\n')) {
    ++number;
    const std::string_view line = base::Trim(raw);
    if (IsComment(line)) continue;
    for (const std::string_view part : base::Split(line, ',')) {
      const std::string_view piece = base::Trim(part);
      const std::size_t dash = piece.find('-', 1);
      const auto first = ReadIndex(base::Trim(piece.substr(0, dash)));
      if (!first.ok()) return first.error().Within(StrCat("line ", number));
      const auto last =
          dash == std::string_view::npos ? first : ReadIndex(base::Trim(piece.substr(dash + 1)));
      if (!last.ok()) return last.error().Within(StrCat("line ", number));
      changes.push_back({.first = *first, .last = *last});
    }
  }
  return changes;
}

Json ToJson(const Detection& detection) {
  Json out = Json::MakeObject({{"length", detection.length},
                               {"changes", detection.changes},
                               {"alarms", detection.alarms},
                               {"hits", detection.hits},
                               {"caught", detection.caught},
                               {"false_alarms", detection.false_alarms}});
  SetNumber(out, "precision", detection.precision);
  SetNumber(out, "recall", detection.recall);
  SetNumber(out, "episode_recall", detection.episode_recall);
  SetNumber(out, "missed", detection.missed);
  SetNumber(out, "f1", detection.f1);
  SetNumber(out, "f1_by_alarm", detection.f1_by_alarm);
  SetNumber(out, "delay", detection.delay);
  SetNumber(out, "normalised_delay", detection.normalised_delay);
  SetNumber(out, "charged_delay", detection.charged_delay);
  out.Set("false_alarm_rate", detection.false_alarm_rate);
  out.Set("alarm_rate", detection.alarm_rate);
  out.Set("quiet", detection.quiet);
  SetNumber(out, "run_length", detection.run_length);
  SetNumber(out, "run_length_low", detection.run_length_low);
  SetNumber(out, "run_length_high", detection.run_length_high);
  SetNumber(out, "mean_time_between_false_alarms", detection.mean_time_between_false_alarms);
  SetNumber(out, "mean_time_ratio", detection.mean_time_ratio);
  return out;
}

std::string Table(std::span<const Judged> judged, const Rules& rules) {
  std::vector<Row> rows = {{"", {}},
                           {"alarms", {}},
                           {"false alarms", {}},
                           {"samples to a false alarm (95 %)", {}},
                           {"changes caught", {}},
                           {StrCat("delay, a miss charged ", rules.horizon), {}},
                           {"delay of those caught", {}},
                           {"precision", {}},
                           {"recall by change", {}},
                           {"recall by alarm", {}},
                           {"F1", {}},
                           {"mean time ratio", {}}};
  for (const Judged& one : judged) {
    const Detection& is = one.detection;
    const std::array<std::string, 12> cells = {one.name,
                                               StrCat(is.alarms),
                                               StrCat(is.false_alarms),
                                               RunLengthCell(is),
                                               StrCat(is.caught, " of ", is.changes),
                                               Cell(is.charged_delay),
                                               Cell(is.delay),
                                               Cell(is.precision),
                                               Cell(is.episode_recall),
                                               Cell(is.recall),
                                               Cell(is.f1),
                                               Cell(is.mean_time_ratio)};
    for (std::size_t i = 0; i < cells.size(); ++i) rows[i].cells.push_back(cells[i]);
  }
  std::size_t name_width = 0;
  std::vector<std::size_t> widths(judged.size(), 0);
  for (const Row& row : rows) {
    name_width = std::max(name_width, row.name.size());
    for (std::size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], row.cells[i].size());
    }
  }
  std::string out;
  for (const Row& row : rows) {
    out += row.name + std::string(name_width - row.name.size(), ' ');
    for (std::size_t i = 0; i < widths.size(); ++i) {
      out += "  " + std::string(widths[i] - row.cells[i].size(), ' ') + row.cells[i];
    }
    out += '\n';
  }
  return out;
}

}  // namespace tinylcm::evaluation
