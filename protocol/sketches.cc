#include "protocol/sketches.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/text.h"
#include "protocol/safetensors.h"

namespace protocol {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

constexpr std::string_view kRanks = "ranks.";
constexpr std::size_t kClassesMax = 65'535;
constexpr std::size_t kBinsMax = 4096;

Error Wrong(std::string_view tensor, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument, StrCat("sketches: ", tensor, ": ", why)};
}

Result<std::uint64_t> Index(const Safetensors& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return Wrong(key, "missing");
  const auto number = base::ParseInt(found->second);
  if (!number.ok() || *number < 0) return Wrong(key, "must be a whole number, at least 0");
  return static_cast<std::uint64_t>(*number);
}

bool HaveOneShape(const Sketches& a, const Sketches& b) {
  return a.samples.size() == b.samples.size() && a.dims == b.dims &&
         std::ranges::equal(a.ranks, b.ranks, [](const auto& x, const auto& y) {
           return x.signal == y.signal &&
                  std::ranges::equal(x.counts, y.counts, [](const auto& bins, const auto& others) {
                    return bins.size() == others.size();
                  });
         });
}

}  // namespace

std::int64_t Sketches::total() const {
  return std::accumulate(samples.begin(), samples.end(), std::int64_t{0});
}

base::Bytes WriteSketches(const Sketches& sketches) {
  Safetensors file;
  file.metadata() = {{"format", std::string(kSketchesFormat)},
                     {"bundle", sketches.bundle},
                     {"first_index", StrCat(sketches.first_index)},
                     {"last_index", StrCat(sketches.last_index)}};
  const std::size_t classes = sketches.samples.size();
  file.Add("samples", {classes}, sketches.samples);
  for (const Sketches::Ranks& ranks : sketches.ranks) {
    // One row a class, as long as the longest; what a class has no bin for is -1.
    std::size_t bins = 1;
    for (const auto& counts : ranks.counts) bins = std::max(bins, counts.size());
    std::vector<std::int64_t> table(classes * bins, -1);
    for (std::size_t label = 0; label < classes; ++label) {
      std::ranges::copy(ranks.counts[label],
                        table.begin() + static_cast<std::ptrdiff_t>(label * bins));
    }
    file.Add(StrCat(kRanks, ranks.signal), {classes, bins}, table);
  }
  file.Add("feature_mean", {classes, sketches.dims}, sketches.feature_mean);
  file.Add("feature_m2", {classes, sketches.dims}, sketches.feature_m2);
  return file.Write();
}

Result<Sketches> ParseSketches(base::ByteView bytes) {
  ASSIGN_OR_RETURN(const Safetensors file, Safetensors::Parse(bytes, {.bytes_max = 64u << 20}));
  const auto format = file.metadata().find("format");
  if (format == file.metadata().end() || format->second != kSketchesFormat) {
    return Error{ErrorCode::kUnsupported, "sketches: not of the format tinylcm-sketches/1"};
  }
  Sketches sketches;
  if (const auto bundle = file.metadata().find("bundle"); bundle != file.metadata().end()) {
    sketches.bundle = bundle->second;
  }
  ASSIGN_OR_RETURN(sketches.first_index, Index(file, "first_index"));
  ASSIGN_OR_RETURN(sketches.last_index, Index(file, "last_index"));
  ASSIGN_OR_RETURN(sketches.samples, file.Values<std::int64_t>("samples", {0}));
  const std::size_t classes = sketches.samples.size();
  if (classes == 0 || classes > kClassesMax) return Wrong("samples", "must be 1 to 65535 classes");
  // Sums of the counts must stay numbers, also once fleets of them are added.
  constexpr std::int64_t kCountMax = std::int64_t{1} << 48;
  const auto is_count = [](std::int64_t count) { return count >= 0 && count <= kCountMax; };
  if (!std::ranges::all_of(sketches.samples, is_count)) return Wrong("samples", "not a count");

  for (const auto& [name, tensor] : file.tensors()) {
    if (!name.starts_with(kRanks)) continue;
    ASSIGN_OR_RETURN(const auto table, file.Values<std::int64_t>(name, {classes, 0}));
    const std::size_t bins = table.size() / classes;
    if (bins == 0 || bins > kBinsMax) return Wrong(name, "must be 1 to 4096 bins");
    Sketches::Ranks ranks{name.substr(kRanks.size()), {}};
    for (std::size_t label = 0; label < classes; ++label) {
      const auto row = std::span(table).subspan(label * bins, bins);
      const auto end = std::ranges::find(row, -1);
      if (!std::all_of(row.begin(), end, is_count) ||
          !std::all_of(end, row.end(), [](std::int64_t count) { return count == -1; })) {
        return Wrong(name, "not a count");
      }
      ranks.counts.emplace_back(row.begin(), end);
      const std::int64_t counted = std::accumulate(row.begin(), end, std::int64_t{0});
      if (counted > sketches.samples[label]) {
        return Wrong(name, StrCat("class ", label, " counts ", counted, " of ",
                                  sketches.samples[label], " samples"));
      }
    }
    sketches.ranks.push_back(std::move(ranks));
  }

  ASSIGN_OR_RETURN(sketches.feature_mean, file.Values<float>("feature_mean", {classes, 0}));
  sketches.dims = sketches.feature_mean.size() / classes;
  ASSIGN_OR_RETURN(sketches.feature_m2, file.Values<float>("feature_m2", {classes, sketches.dims}));
  const auto is_finite = [](float value) { return std::isfinite(value); };
  if (!std::ranges::all_of(sketches.feature_mean, is_finite)) {
    return Wrong("feature_mean", "a number is not finite");
  }
  if (!std::ranges::all_of(sketches.feature_m2,
                           [](float value) { return std::isfinite(value) && value >= 0.0f; })) {
    return Wrong("feature_m2", "not a sum of squares");
  }
  return sketches;
}

Status Merge(const Sketches& other, Sketches& into) {
  if (other.bundle != into.bundle) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("sketches: of bundle ", other.bundle, ", not of ", into.bundle)};
  }
  if (!HaveOneShape(other, into)) {
    return Error{ErrorCode::kInvalidArgument, "sketches: other classes, signals, bins or features"};
  }
  if (other.total() == 0) return {};
  const bool was_empty = into.total() == 0;
  into.first_index = was_empty ? other.first_index : std::min(into.first_index, other.first_index);
  into.last_index = was_empty ? other.last_index : std::max(into.last_index, other.last_index);
  for (std::size_t label = 0; label < into.samples.size(); ++label) {
    const auto n = static_cast<double>(into.samples[label]);
    const auto m = static_cast<double>(other.samples[label]);
    if (n + m == 0.0) continue;
    for (std::size_t i = label * into.dims; i < (label + 1) * into.dims; ++i) {
      const double apart = double{other.feature_mean[i]} - double{into.feature_mean[i]};
      into.feature_mean[i] = static_cast<float>(into.feature_mean[i] + apart * m / (n + m));
      into.feature_m2[i] =
          static_cast<float>(double{into.feature_m2[i]} + double{other.feature_m2[i]} +
                             apart * apart * n * m / (n + m));
    }
    into.samples[label] += other.samples[label];
  }
  for (std::size_t signal = 0; signal < into.ranks.size(); ++signal) {
    for (std::size_t label = 0; label < into.samples.size(); ++label) {
      auto& counts = into.ranks[signal].counts[label];
      const auto& more = other.ranks[signal].counts[label];
      std::ranges::transform(counts, more, counts.begin(), std::plus<>{});
    }
  }
  return {};
}

}  // namespace protocol
