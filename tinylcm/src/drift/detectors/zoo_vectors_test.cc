// Index for index as river 0.26.1, on every case of data/vectors/detectors.json.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "base/file_system.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/adwin.h"
#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {
namespace {

using Column = std::vector<double>;

base::Json Vectors() {
  const auto text =
      base::ReadTextFile(base::SystemFileSystem(), "data/vectors/detectors.json", 1 << 20);
  EXPECT_TRUE(text.ok()) << text.error().message;
  return base::Json::Parse(*text).value();
}

// "index,x,b"
Column Stream(const std::string& file, std::size_t field) {
  const auto text = base::ReadTextFile(base::SystemFileSystem(), "data/vectors/" + file, 1 << 20);
  EXPECT_TRUE(text.ok()) << text.error().message;
  Column column;
  for (const std::string_view line : base::Split(*text, '\n')) {
    const auto fields = base::Split(line, ',');
    if (fields.size() != 3 || fields[0] == "index") continue;
    column.push_back(base::ParseDouble(fields[field]).value());
  }
  return column;
}

const std::map<std::string, std::string> kNames = {
    {"ADWIN", "adwin"},   {"PageHinkley", "page_hinkley"},
    {"KSWIN", "kswin"},   {"DDM", "ddm"},
    {"HDDM_A", "hddm_a"}, {"HDDM_W", "hddm_w"},
    {"EDDM", "eddm"}};

class ZooVectors : public testing::TestWithParam<int> {};

TEST_P(ZooVectors, AlarmsWhereRiverDoes) {
  const base::Json vectors = Vectors();
  const base::Json& one = vectors.Find("cases")->as_array()[static_cast<std::size_t>(GetParam())];
  const std::string river = one.Find("detector")->as_string();
  const std::string stream = one.Find("stream")->as_string();
  const Column values = Stream(vectors.Find("streams")->Find(stream)->Find("file")->as_string(),
                               one.Find("column")->as_string() == "x" ? 1 : 2);
  ASSERT_GE(values.size(), 4000u);
  DetectorOptions options;
  for (const auto& [name, value] : one.Find("params")->as_object()) {
    options.emplace_back(name, value.is_string() ? value.as_string() : value.Write());
  }
  SCOPED_TRACE(base::StrCat(river, " on ", stream, " ", one.Find("params")->Write()));
  const auto made = MakeDetector(kNames.at(river), options, std::nullopt);
  ASSERT_TRUE(made.ok()) << made.error().message;
  Detector& detector = **made;

  base::Json drifts = base::Json::MakeArray();
  base::Json p_values = base::Json::MakeArray();
  std::vector<std::pair<std::int64_t, std::int64_t>> warnings;
  std::size_t checkpoint = 0;
  const base::Json* checkpoints = one.Find("checkpoints_index_width_mean_variance");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    const DriftSignal signal = detector.Observe(values[i]);
    if (signal == DriftSignal::kDrift) {
      drifts.Append(index);
      p_values.Append(detector.statistic());
    } else if (signal == DriftSignal::kWarning) {
      if (warnings.empty() || warnings.back().second != index - 1) {
        warnings.emplace_back(index, index);
      }
      warnings.back().second = index;
    }
    if (checkpoints == nullptr || (i + 1) % 500 != 0) continue;
    // Index, width, mean and total variance, given in 12 digits.
    const auto& expected = checkpoints->as_array().at(checkpoint++).as_array();
    const auto& adwin = dynamic_cast<const Adwin&>(detector);
    ASSERT_EQ(expected[0].as_int(), index);
    EXPECT_EQ(expected[1].as_int(), static_cast<std::int64_t>(adwin.window())) << index;
    const double mean = expected[2].as_double();
    const double squares = expected[3].as_double();
    EXPECT_NEAR(adwin.mean(), mean, 1e-9 * std::abs(mean)) << index;
    EXPECT_NEAR(adwin.squares(), squares, 1e-9 * squares) << index;
  }
  EXPECT_EQ(drifts.Write(), one.Find("drift")->Write());
  if (const base::Json* expected = one.Find("warning_runs")) {
    base::Json runs = base::Json::MakeArray();
    for (const auto& [first, last] : warnings) {
      base::Json run = base::Json::MakeArray();
      run.Append(first);
      run.Append(last);
      runs.Append(run);
    }
    EXPECT_EQ(runs.Write(), expected->Write());
  }
  if (const base::Json* expected = one.Find("p_value_at_drift")) {
    ASSERT_EQ(p_values.as_array().size(), expected->as_array().size());
    for (std::size_t i = 0; i < expected->as_array().size(); ++i) {
      const double p = expected->as_array()[i].as_double();
      EXPECT_NEAR(p_values.as_array()[i].as_double(), p, 1e-9 * p);
    }
  }
}

TEST(ZooVectorsFile, ThereAreAllOfThem) {
  EXPECT_EQ(Vectors().Find("cases")->as_array().size(), 57u);
}

INSTANTIATE_TEST_SUITE_P(River, ZooVectors, testing::Range(0, 57));

}  // namespace
}  // namespace tinylcm::drift
