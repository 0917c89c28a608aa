#include "tools/tinyscene/shot.h"

#include "base/text.h"
#include "tools/tinyscene/exact_math.h"

namespace tinyscene {
namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;

constexpr std::uint64_t kChoice = 21;

base::Result<std::int64_t> ParseWithin(std::string_view name, std::string_view text,
                                       std::int64_t max) {
  const auto value = base::ParseInt(text);
  if (!value.ok()) return value.error().Within(std::string(name));
  if (*value < 0 || *value > max) {
    return Error{ErrorCode::kCorrupt, StrCat(name, ": ", *value, " is not in 0..", max)};
  }
  return *value;
}

base::Result<Shot> ParseTruthLine(std::string_view line, Kind kind, const Digits& digits) {
  const std::span<const NamedDrift> drifts = DriftsOf(kind);
  const std::vector<std::string_view> fields = base::Split(line, ',');
  if (fields.size() != 5 + drifts.size()) {
    return Error{ErrorCode::kCorrupt,
                 StrCat(fields.size(), " fields, expected ", 5 + drifts.size())};
  }
  Shot shot;
  ASSIGN_OR_RETURN(const std::int64_t number, ParseWithin("number", fields[0], UINT32_MAX));
  ASSIGN_OR_RETURN(const std::int64_t digit,
                   ParseWithin("digit", fields[1], static_cast<std::int64_t>(digits.count()) - 1));
  ASSIGN_OR_RETURN(const std::int64_t label, ParseWithin("label", fields[2], kClasses - 1));
  shot.number = static_cast<std::uint32_t>(number);
  shot.digit = static_cast<std::uint32_t>(digit);
  shot.label = static_cast<int>(label);
  if (digits.digit(shot.digit).label != shot.label) {
    return Error{ErrorCode::kCorrupt,
                 StrCat("label: digit ", digit, " is a ", int{digits.digit(shot.digit).label},
                        ", not a ", label)};
  }
  ASSIGN_OR_RETURN(shot.pool, ParsePool(fields[3]));
  if (digits.pool_of(shot.digit) != shot.pool) {
    return Error{ErrorCode::kCorrupt,
                 StrCat("pool: digit ", digit, " is of ", Name(digits.pool_of(shot.digit)),
                        ", not of ", Name(shot.pool))};
  }
  for (std::size_t i = 0; i < drifts.size(); ++i) {
    const auto strength = base::ParseDouble(fields[4 + i]);
    if (!strength.ok()) return strength.error().Within(drifts[i].name);
    RETURN_IF_ERROR(CheckStrength(drifts[i].name, *strength));
    shot.drifts.*drifts[i].strength = *strength;
  }
  ASSIGN_OR_RETURN(const std::int64_t dropped, ParseWithin("dropped", fields.back(), 1));
  shot.dropped = dropped == 1;
  return shot;
}

}  // namespace

Shot ChooseShot(const Digits& digits, std::uint64_t seed, std::uint32_t number,
                const Settings& settings, std::optional<int> unseen_class) {
  base::Random random = RandomFor(seed, number, kChoice);
  const double unseen_lot = random.Uniform();
  int label = 0;
  if (!unseen_class) {
    label = static_cast<int>(random.Below(kClasses));
  } else if (unseen_lot < settings.unseen) {
    label = *unseen_class;
  } else {
    label = static_cast<int>(random.Below(kClasses - 1));
    if (label >= *unseen_class) ++label;
  }
  const std::vector<std::uint32_t>& ids = digits.Ids(settings.pool, label);
  return {.number = number,
          .digit = ids[random.Below(ids.size())],
          .label = label,
          .pool = settings.pool,
          .drifts = settings.drifts,
          .dropped = false};
}

std::string TruthHeader(Kind kind) {
  std::string header = kind == Kind::kCamera ? "frame" : "seq";
  header += ",digit,label,pool";
  for (const NamedDrift& drift : DriftsOf(kind)) header += StrCat(',', drift.name);
  return header + ",dropped\n";
}

std::string TruthLine(Kind kind, const Shot& shot) {
  std::string line = StrCat(shot.number, ',', shot.digit, ',', shot.label, ',', Name(shot.pool));
  for (const NamedDrift& drift : DriftsOf(kind)) {
    line += StrCat(',', shot.drifts.*drift.strength);
  }
  return line + (shot.dropped ? ",1\n" : ",0\n");
}

base::Result<std::vector<Shot>> ParseTruth(std::string_view text, Kind kind, const Digits& digits) {
  std::vector<Shot> shots;
  std::size_t number = 0;
  for (const std::string_view raw : base::Split(text, '\n')) {
    const std::string_view line = base::Trim(raw);
    ++number;
    if (number == 1) {
      if (StrCat(line, '\n') != TruthHeader(kind)) {
        return Error{ErrorCode::kCorrupt,
                     StrCat("line 1: expected ", base::Trim(TruthHeader(kind)))};
      }
      continue;
    }
    if (line.empty()) continue;
    auto shot = ParseTruthLine(line, kind, digits);
    if (!shot.ok()) return shot.error().Within(StrCat("line ", number));
    shots.push_back(*shot);
  }
  return shots;
}

}  // namespace tinyscene
