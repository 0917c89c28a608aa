// samples.json: samples worth a person's look, beside their features and pictures or rows.
// docs/formats/samples.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kSamplesFormat = "tinylcm-samples/1";
inline constexpr std::string_view kSamplesPath = "samples.json";
inline constexpr std::string_view kFeaturesPath = "features.safetensors";  // Tensor "features".
inline constexpr std::string_view kRowsPath = "rows.csv";

struct SampleRecord {
  struct Neighbour {
    std::int64_t anchor = 0;
    std::string label;
    double distance = 0.0;
    friend bool operator==(const Neighbour&, const Neighbour&) = default;
  };

  std::string sample_id;
  std::uint64_t index = 0;
  std::string prediction;
  double confidence = 0.0;
  std::vector<Neighbour> neighbours;
  std::string reason;
  // What the order of questions comes of: mass x (1 - accuracy) x novelty, highest first.
  std::optional<double> cluster_mass;      // The share of the quarantine it stands for.
  std::optional<double> cluster_accuracy = {};  // Estimated share of those answered right.
  std::optional<double> novelty = {};           // 0 (like the reference) to 1 (like nothing there).
  // Row of tensor "features" in features.safetensors, from 0.
  std::optional<std::uint64_t> feature_row;
  // "images/<name>.jpg", or "rows.csv#<n>": the n-th row after the header, from 0; or empty.
  std::string media;

  bool is_image() const { return media.starts_with("images/"); }
  std::optional<std::uint64_t> csv_row() const;  // n of "rows.csv#<n>".

  friend bool operator==(const SampleRecord&, const SampleRecord&) = default;
};

struct SampleSet {
  std::optional<std::string> event_id;
  std::vector<std::string> labels;  // What a sample may be called: those of the bundle that ran.
  std::vector<SampleRecord> samples;
  // What a row looked like before the change; for rows only.
  std::optional<std::vector<double>> reference_row_mean;
  std::optional<std::vector<double>> reference_row_sd;

  friend bool operator==(const SampleSet&, const SampleSet&) = default;
};

base::Json ToJson(const SampleSet& set);
base::Result<SampleSet> ParseSampleSet(std::string_view json);

// rows.csv: "sample_id,ch0,ch1,..." and a line a sample.
std::string WriteRowsCsv(const std::vector<std::string>& sample_ids,
                         const std::vector<std::vector<float>>& rows);
base::Result<std::vector<std::vector<float>>> ParseRowsCsv(std::string_view csv);

}  // namespace protocol
