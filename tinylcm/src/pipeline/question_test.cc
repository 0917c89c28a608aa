#include "tinylcm/src/pipeline/question.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"
#include "protocol/safetensors.h"
#include "protocol/samples.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/src/pipeline/small_array_test.h"

namespace tinylcm::pipeline {
namespace {

constexpr std::uint64_t kSeed = 5;

class QuestionTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = Serving::Create(bundle_, nullptr, adapt::Adaptation{}, {});
    ASSERT_TRUE(made.ok()) << made.error().message;
    bench_ = std::move(*made);
    auto opened = adapt::Quarantine::Open(fs_, "quarantine", {});
    ASSERT_TRUE(opened.ok());
    quarantine_.emplace(std::move(*opened));
    ASSERT_TRUE(quarantine_->Begin("e-1").ok());
    event_.event_id = "e-1";
  }

  // `far`: every channel moved by three, so it lies far from all that is known.
  void Take(int rows, bool far) {
    for (int i = 0; i < rows; ++i) {
      Seen seen;
      seen.index = next_++;
      seen.frame.row = MakeRow(random_, static_cast<std::uint16_t>(random_.Below(kClasses)), false);
      if (far) {
        for (float& value : seen.frame.row) value += 3.0f;
      }
      Inference out;
      ASSERT_TRUE(bench_->Infer(seen.frame, out).ok());
      seen.prediction = out.prediction;
      ASSERT_TRUE(AddToQuarantine(seen, {}, *bench_, *quarantine_).ok());
    }
  }

  static const protocol::PackageFile& File(const std::vector<protocol::PackageFile>& files,
                                           std::string_view path) {
    for (const protocol::PackageFile& file : files) {
      if (file.path == path) return file;
    }
    static const protocol::PackageFile none;
    ADD_FAILURE() << "no " << path;
    return none;
  }
  static protocol::SampleSet Samples(const std::vector<protocol::PackageFile>& files) {
    return *protocol::ParseSampleSet(base::AsText(File(files, protocol::kSamplesPath).bytes));
  }

  tests::FakeFileSystem fs_;
  base::Random random_{kSeed};
  std::shared_ptr<const model::ModelBundle> bundle_ = MakeBundle("1.0.0", 1);
  std::unique_ptr<Serving> bench_;
  std::optional<adapt::Quarantine> quarantine_;
  protocol::DriftEvent event_;
  std::uint64_t next_ = 100;
};

TEST_F(QuestionTest, TakesASampleWithWhatItsNoveltyIs) {
  Take(20, false);
  Take(20, true);
  double near = 0.0, far = 0.0;
  for (std::size_t i = 0; i < 40; ++i) {
    const adapt::QuarantinedSample& sample = quarantine_->samples()[i];
    EXPECT_EQ(sample.bundle, bundle_->bundle);
    EXPECT_EQ(sample.reason, "drift");
    (i < 20 ? near : far) += static_cast<double>(sample.novelty) / 20.0;
  }
  EXPECT_NEAR(near, 0.5, 0.1) << "as usual";
  EXPECT_GT(far, 0.7);
}

TEST_F(QuestionTest, SendsEachSampleWithItsRowFeatureNeighboursAndWhyItWasChosen) {
  Take(40, false);
  Take(20, true);
  const auto files = MakeQuestion({.labels = 8, .seed = 3}, *bundle_, *quarantine_, event_);
  EXPECT_EQ(File(files, protocol::kDriftEventPath).media_type, "application/json");
  const protocol::SampleSet set = Samples(files);
  ASSERT_EQ(set.samples.size(), 8u);
  ASSERT_EQ(event_.samples.size(), 8u);
  const auto rows = *protocol::ParseRowsCsv(base::AsText(File(files, protocol::kRowsPath).bytes));
  const auto tensors = *protocol::Safetensors::Parse(File(files, protocol::kFeaturesPath).bytes);
  const auto features = *tensors.Values<float>("features");
  for (std::size_t i = 0; i < 8; ++i) {
    const protocol::SampleRecord& record = set.samples[i];
    const adapt::QuarantinedSample* sample = quarantine_->Find(record.sample_id);
    ASSERT_NE(sample, nullptr);
    EXPECT_EQ(record.sample_id, event_.samples[i]);
    EXPECT_EQ(rows[*record.csv_row()], sample->raw);
    for (std::size_t j = 0; j < sample->feature.size(); ++j) {
      EXPECT_EQ(features[*record.feature_row * sample->feature.size() + j], sample->feature[j]);
    }
    EXPECT_EQ(record.neighbours.size(), sample->neighbours.size());
    EXPECT_EQ(record.reason.find("stands for "), 0u) << record.reason;
    ASSERT_TRUE(record.cluster_mass && record.cluster_accuracy && record.novelty);
    const double priority = *record.cluster_mass * std::max(0.02, 1.0 - *record.cluster_accuracy) *
                            std::max(0.02, *record.novelty);
    // What clusters that are not asked about leave to their neighbours comes on top of the order.
    EXPECT_GT(priority, 0.0);
  }
}

TEST_F(QuestionTest, SendsOthersWhenMoreAreAskedFor) {
  Take(60, true);
  static_cast<void>(MakeQuestion({.labels = 8, .seed = 3}, *bundle_, *quarantine_, event_));
  ASSERT_EQ(quarantine_->OpenClass("crab").value(), 0u);
  const auto files = MakeSamples({.labels = 10, .seed = 3}, *bundle_, *quarantine_, event_);
  const protocol::SampleSet set = Samples(files);
  EXPECT_EQ(set.event_id, "e-1");
  EXPECT_EQ(set.labels, (std::vector<std::string>{"a", "b", "c", "d", "crab"}));
  ASSERT_EQ(set.samples.size(), 10u);
  EXPECT_EQ(set.samples[0].reason.find("more were asked for; stands for "), 0u);
  EXPECT_EQ(event_.samples.size(), 18u);
  EXPECT_EQ(std::set<std::string>(event_.samples.begin(), event_.samples.end()).size(), 18u);
  for (const protocol::PackageFile& file : files) {
    EXPECT_NE(file.path, protocol::kDriftEventPath);
  }

  // All 60 are asked about by and by, and then there is nothing left.
  static_cast<void>(MakeSamples({.labels = 60, .seed = 3}, *bundle_, *quarantine_, event_));
  EXPECT_EQ(event_.samples.size(), 60u);
  EXPECT_TRUE(Samples(MakeSamples({.labels = 5}, *bundle_, *quarantine_, event_)).samples.empty());
  // Of an event that is over nothing is here.
  protocol::DriftEvent old;
  old.event_id = "e-0";
  EXPECT_TRUE(Samples(MakeSamples({.labels = 5}, *bundle_, *quarantine_, old)).samples.empty());
}

}  // namespace
}  // namespace tinylcm::pipeline
