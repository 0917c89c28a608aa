// Whether an adaptation helped, judged by people's labels: what `tinylcm validate` is given, and
// what it answers. docs/formats/judgement.md.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kValidationFormat = "tinylcm-validation/1";
inline constexpr std::string_view kJudgementFormat = "tinylcm-judgement/1";

// Samples that people labelled, as they came in.
struct ValidationSet {
  struct Sample {
    std::string sample_id;
    std::string label;
    std::string picture;      // A file's path, beside the document; "" for a row.
    std::vector<double> row;  // Empty for a picture.
    friend bool operator==(const Sample&, const Sample&) = default;
  };
  std::vector<Sample> samples;
  friend bool operator==(const ValidationSet&, const ValidationSet&) = default;
};

base::Json ToJson(const ValidationSet& set);
base::Result<ValidationSet> ParseValidationSet(std::string_view json);

enum class JudgementKind { kHelped, kHarmless, kHarmful, kUnknown };
const char* Name(JudgementKind kind);  // "helped", "harmless", "harmful", "unknown"
base::Result<JudgementKind> ParseJudgementKind(std::string_view name);

struct Judgement {
  struct Sample {
    std::string sample_id;
    std::string label;      // The person's.
    std::string before;     // The answer without the adaptation.
    std::string after;      // And with it.
    bool left_out = false;  // It had taught it: what was learned from it was left out.
    friend bool operator==(const Sample&, const Sample&) = default;
  };

  JudgementKind judgement = JudgementKind::kUnknown;
  std::int64_t labels = 0;  // How many samples it rests on.
  std::optional<std::int64_t> right_before;
  std::optional<std::int64_t> right_after;
  std::optional<double> difference;               // (after - before) / labels
  std::optional<std::array<double, 2>> interval;  // Of the difference, 95 %: low and high.
  std::string reason;                             // In words.
  std::vector<Sample> samples;

  friend bool operator==(const Judgement&, const Judgement&) = default;
};

base::Json ToJson(const Judgement& judgement);
base::Result<Judgement> ParseJudgement(std::string_view json);

}  // namespace protocol
