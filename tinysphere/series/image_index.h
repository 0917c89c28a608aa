// ImageIndex: the pictures that a device sampled of what it saw, by label and time.
//
//   prediction-images/<device>/<label>/<yyyymmdd>/<sample>.jpg
//   images_index                                                 what was said of each, and when

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/message.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::series {

struct SampledImage {
  std::string device_id;
  std::string sample_id;  // [A-Za-z0-9._:-]; one device never uses it twice.
  std::string label;      // What the device said it is.
  base::Time at{};
  std::optional<std::int64_t> sample_index{};  // Which inference it was.
  std::optional<double> confidence{};
  std::optional<double> distance{};
  std::string reason;  // "drift", "low_confidence", "every"; "" where it was not said.
  std::string bundle;
  std::uint64_t bytes = 0;
  std::string package_id;
  std::string object_key;
};

// Of device_id, label, at and sample_id.
std::string ImageKey(const SampledImage& image);

// What a package of pictures says: its lines of the log (docs/formats/datalog.md) beside its files.
// `path` is images/<inference>_<why>.jpg; where a line tells of that inference, its figures are
// filled in. kInvalidArgument naming the line otherwise.
class PredictionLines {
 public:
  static base::Result<PredictionLines> Parse(std::string_view jsonl);
  // Fills label, sample_index, confidence, distance, reason and, where the line has one, at.
  void Describe(std::string_view path, SampledImage& image) const;

 private:
  struct Line {
    std::int64_t index = 0;
    std::string prediction;
    std::optional<base::Time> at;
    std::optional<double> confidence;
    std::optional<double> distance;
  };
  std::vector<Line> lines_;  // By index.
};

// May be used from several threads.
class ImageIndex {
 public:
  // Both must outlive it.
  ImageIndex(store::Database& database, store::ObjectStore& objects)
      : database_(database), objects_(objects) {}

  // Idempotent.
  static base::Status Take(store::Transaction& transaction, std::span<const SampledImage> images);

  // Newest first; ?label=, ?from=, ?to=, ?confidence_below=, ?reason= choose.
  base::Result<base::Json> List(const http::Request& request, const std::string& device_id);
  base::Result<http::Response> Content(const http::Request& request, const std::string& device_id,
                                       const std::string& sample_id);

  void AddRoutes(http::Router& router);

 private:
  store::Database& database_;
  store::ObjectStore& objects_;
};

}  // namespace tinysphere::series
