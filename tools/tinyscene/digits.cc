#include "tools/tinyscene/digits.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "base/text.h"

namespace tinyscene {
namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;

// The split never changes, whatever --seed says: the committed model was trained on this pool T.
constexpr std::uint64_t kSplitSeed = 20261120;

base::Result<Digit> ParseLine(std::string_view line) {
  const std::vector<std::string_view> fields = base::Split(line, ',');
  if (fields.size() != kDigitCells + 1) {
    return Error{ErrorCode::kCorrupt, StrCat(fields.size(), " fields, expected 65")};
  }
  Digit digit;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    ASSIGN_OR_RETURN(const std::int64_t value, base::ParseInt(fields[i]));
    const bool is_label = i == kDigitCells;
    if (value < 0 || value > (is_label ? kClasses - 1 : kFullInk)) {
      return Error{ErrorCode::kCorrupt, StrCat("field ", i + 1, ": ", value, " is out of range")};
    }
    (is_label ? digit.label : digit.ink[i]) = static_cast<std::uint8_t>(value);
  }
  return digit;
}

}  // namespace

const char* Name(Pool pool) {
  switch (pool) {
    case Pool::kT:
      return "T";
    case Pool::kA:
      return "A";
    case Pool::kB:
      return "B";
  }
  return "?";
}

base::Result<Pool> ParsePool(std::string_view text) {
  for (const Pool pool : {Pool::kT, Pool::kA, Pool::kB}) {
    if (text == Name(pool)) return pool;
  }
  return Error{ErrorCode::kInvalidArgument, StrCat("pool: \"", text, "\" is not T, A or B")};
}

base::Result<Digits> Digits::Parse(std::string_view csv) {
  Digits result;
  std::array<std::vector<std::uint32_t>, kClasses> by_class;
  for (const std::string_view raw : base::Split(csv, '\n')) {
    const std::string_view line = base::Trim(raw);
    if (line.empty()) continue;
    auto digit = ParseLine(line);
    if (!digit.ok()) return digit.error().Within(StrCat("line ", result.digits_.size() + 1));
    by_class[digit->label].push_back(static_cast<std::uint32_t>(result.digits_.size()));
    result.digits_.push_back(*digit);
  }
  result.pools_.resize(result.digits_.size(), Pool::kT);

  for (std::size_t label = 0; label < kClasses; ++label) {
    std::vector<std::uint32_t>& ids = by_class[label];
    if (ids.size() < 4) {
      return Error{ErrorCode::kCorrupt, StrCat("class ", label, " has fewer than 4 digits")};
    }
    base::Random random(kSplitSeed + label);
    for (std::size_t i = ids.size() - 1; i > 0; --i) {  // Fisher and Yates
      std::swap(ids[i], ids[random.Below(i + 1)]);
    }
    const std::size_t half = ids.size() / 2;
    const std::size_t three_quarters = half + (ids.size() - half) / 2;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const Pool pool = i < half ? Pool::kT : i < three_quarters ? Pool::kA : Pool::kB;
      result.pools_[ids[i]] = pool;
      result.ids_[static_cast<std::size_t>(pool)][label].push_back(ids[i]);
    }
  }
  return result;
}

const std::vector<std::uint32_t>& Digits::Ids(Pool pool, int label) const {
  return ids_.at(static_cast<std::size_t>(pool)).at(static_cast<std::size_t>(label));
}

}  // namespace tinyscene
