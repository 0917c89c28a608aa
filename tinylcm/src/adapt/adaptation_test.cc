#include "tinylcm/adapt/adaptation.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tinylcm/src/adapt/adaptation_wire.h"

namespace tinylcm::adapt {
namespace {

using base::Bytes;
using base::ErrorCode;
using classify::Anchors;
using classify::KnnClassifier;

// Two labelled samples, a taught and b taught with one neighbour each.
Adaptation Example() {
  Adaptation adaptation;
  adaptation.bundle = std::string(64, 'a');
  adaptation.event_id = "event-1";
  adaptation.hypothesis = InputHypothesis::Of(
      {.kind = StepKind::kChannelGain, .gains = {4096, 8192, 1}, .offsets = {0, -16, 32}});
  adaptation.challenger = {Alignment::kMovedChannels, Memory::kPropagated};
  adaptation.transform = {.scale = {2.0f, 1.0f}, .shift = {-1.0f, 0.0f}};
  adaptation.memory.dims = 2;
  adaptation.memory.Add(std::vector<float>{1, 0}, 0, 3.0f);
  adaptation.memory.Add(std::vector<float>{0, 1}, 1, 3.0f);
  adaptation.memory.Add(std::vector<float>{2, 0}, 0, 1.0f);
  adaptation.memory.Add(std::vector<float>{0, 2}, 1, 1.0f);
  adaptation.entries = {{"a", "a", "f-1", LabelOrigin::kPerson, 0},
                        {"b", "b", "f-2", LabelOrigin::kPerson, 1},
                        {"c", "a", "f-1", LabelOrigin::kPropagated, 0},
                        {"d", "b", "f-2", LabelOrigin::kPropagated, 1}};
  adaptation.labels = {{"a", 0, "f-1"}, {"b", 1, "f-2"}};
  return adaptation;
}

// All that version 2 added: a head, a class that people opened, a change of covariance, a label on
// which reviewers did not agree.
Adaptation Newer() {
  Adaptation adaptation = Example();
  adaptation.challenger = {Alignment::kCoral, Memory::kLda};
  adaptation.transform.matrix = {2.0f, 0.25f, -0.5f, 1.0f};
  adaptation.head = {.weights = {1, 0, 0, 1, 1, 1}, .bias = {0, 0.5f, -1}, .temperature = 2.0f};
  adaptation.opened = {"rust"};
  adaptation.entries[3].origin = LabelOrigin::kPseudo;
  adaptation.labels[1].label = 2;
  adaptation.labels[1].weight = 0.5f;
  return adaptation;
}

TEST(Adaptation, ReadsBackToTheByte) {
  for (const Adaptation& adaptation : {Example(), Newer(), Adaptation{}}) {
    const Bytes bytes = Serialise(adaptation);
    const Adaptation read = ParseAdaptation(bytes).value();
    EXPECT_EQ(read, adaptation);
    EXPECT_EQ(Serialise(read), bytes);
  }
}

// The fields of version 1, in their order, as devices have them on their disks.
Bytes AsVersion1(const Adaptation& adaptation) {
  state::WireWriter writer;
  writer.Raw(base::AsBytes("TLCA"));
  writer.U32(1);
  writer.Text(adaptation.bundle);
  writer.Text(adaptation.event_id);
  writer.U8(0);                                 // The picture as it is,
  writer.U32(0);                                // not turned,
  for (int i = 0; i < 2; ++i) writer.U16s({});  // no gains, no offsets.
  writer.U8(static_cast<std::uint8_t>(adaptation.challenger.alignment));
  writer.U8(static_cast<std::uint8_t>(adaptation.challenger.memory));
  writer.Floats(adaptation.transform.scale);
  writer.Floats(adaptation.transform.shift);
  writer.U32(static_cast<std::uint32_t>(adaptation.memory.dims));
  writer.Floats(adaptation.memory.vectors);
  writer.U16s(adaptation.memory.labels);
  writer.Floats(adaptation.memory.weights);
  writer.U32(static_cast<std::uint32_t>(adaptation.entries.size()));
  for (const MemoryEntry& entry : adaptation.entries) {
    writer.Text(entry.sample_id);
    writer.Text(entry.taught_by);
    writer.Text(entry.feedback_id);
    writer.U8(static_cast<std::uint8_t>(entry.origin));
    writer.U32(entry.cluster);
  }
  writer.U32(static_cast<std::uint32_t>(adaptation.labels.size()));
  for (const Label& label : adaptation.labels) {
    writer.Text(label.sample_id);
    writer.U16(label.label);
    writer.Text(label.feedback_id);
  }
  writer.U32(base::Crc32c(writer.bytes()));
  return writer.Take();
}

TEST(Adaptation, StillReadsVersion1) {
  Adaptation old = Example();
  old.hypothesis = {};
  const auto read = ParseAdaptation(AsVersion1(old));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, old);  // No head, nothing opened, every label of weight 1.
}

TEST(Adaptation, RefusesAVersionItDoesNotKnow) {
  Bytes bytes = AsVersion1(Adaptation{});
  bytes[4] = 3;
  bytes.resize(bytes.size() - 4);
  const std::uint32_t crc = base::Crc32c(bytes);
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<std::uint8_t>(crc >> shift));
  }
  EXPECT_EQ(ParseAdaptation(bytes).error().code, ErrorCode::kUnsupported);
}

TEST(Adaptation, RefusesAHeadOrATransformThatDoesNotFit) {
  Adaptation half_a_row = Newer();
  half_a_row.head->weights.pop_back();
  EXPECT_EQ(ParseAdaptation(Serialise(half_a_row)).error().code, ErrorCode::kCorrupt);
  Adaptation one_too_many = Newer();
  one_too_many.transform.matrix.push_back(1.0f);
  EXPECT_EQ(ParseAdaptation(Serialise(one_too_many)).error().code, ErrorCode::kCorrupt);
}

TEST(Adaptation, RefusesEveryFlippedBitAndEveryCut) {
  const Bytes bytes = Serialise(Newer());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<std::uint8_t>(flipped[i] ^ (1u << (i % 8)));
    EXPECT_FALSE(ParseAdaptation(flipped).ok()) << "byte " << i;
    EXPECT_FALSE(ParseAdaptation(base::ByteView(bytes).first(i)).ok()) << "length " << i;
  }
}

TEST(Adaptation, IsNamedByItsTwoStages) {
  EXPECT_EQ(Example().name(), "channel_gain + moved_channels+propagated");
  EXPECT_EQ(Adaptation{}.name(), "identity + none");
  EXPECT_TRUE(Adaptation{}.is_none());
}

// Two classes along an axis each; the stream's first channel is shifted by 6.
class CarryTest : public testing::Test {
 protected:
  CarryTest() {
    base::Random random(4);
    const auto draw = [&](std::uint16_t label) {
      std::vector<float> row(3);
      for (std::size_t j = 0; j < 3; ++j) {
        row[j] = static_cast<float>(0.5 * random.Normal() + (j == label ? 3.0 : 0.0));
      }
      return row;
    };
    Anchors anchors;
    anchors.dims = 3;
    for (int i = 0; i < 100; ++i) {
      const auto label = static_cast<std::uint16_t>(i % 2);
      anchors.Add(draw(label), label);
    }
    knn_.emplace(KnnClassifier::Create({.classes = 2}, anchors).value());
    for (int i = 0; i < 200; ++i) {
      const auto label = static_cast<std::uint16_t>(i % 2);
      std::vector<float> row = draw(label);
      row[0] += 6.0f;
      features_.insert(features_.end(), row.begin(), row.end());
      rows_.push_back("s" + std::to_string(i));
      if (i % 10 < 2) {
        labels_.push_back({rows_.back(), label, "f-1"});
        labelled_.push_back({static_cast<std::uint32_t>(i), label});
      }
    }
  }

  CarryRequest Request(const Adaptation& adaptation) {
    CarryRequest request;
    request.bundle = "new";
    request.adaptation = &adaptation;
    request.knn = &*knn_;
    request.features = features_;
    request.rows = rows_;
    request.labels = labels_;
    return request;
  }

  std::optional<KnnClassifier> knn_;
  std::vector<float> features_;
  std::vector<std::string> rows_;
  std::vector<Label> labels_;
  std::vector<LabelledRow> labelled_;
};

TEST_F(CarryTest, JudgesTheLabelledSamplesAgainUnderTheNewBundle) {
  const Judgement judgement = Judge(*knn_, features_, labelled_, {}).value();
  const Adaptation old = Compose("old", "event-1", {}, judgement, rows_, labels_);
  ASSERT_FALSE(old.is_none());
  ASSERT_EQ(old.entries.size(), old.memory.size());

  const Carried carried = Carry(Request(old)).value();
  EXPECT_EQ(carried.adaptation.bundle, "new");
  EXPECT_EQ(carried.adaptation.event_id, "event-1");
  EXPECT_TRUE(carried.challenger_kept);
  EXPECT_EQ(carried.adaptation.transform, old.transform);  // The same features: the same answer.
  EXPECT_EQ(carried.adaptation.labels, labels_);
  EXPECT_TRUE(carried.dropped.empty());
}

TEST_F(CarryTest, DropsAndNamesWhatNoLongerHolds) {
  const Judgement judgement = Judge(*knn_, features_, labelled_, {}).value();
  const Adaptation old = Compose("old", "event-1", {}, judgement, rows_, labels_);
  // The new bundle was fitted on the shifted channel: there is nothing to correct.
  for (std::size_t i = 0; i < features_.size(); i += 3) features_[i] -= 6.0f;
  labels_.push_back({"gone", 1, "f-9"});
  const Carried carried = Carry(Request(old)).value();
  EXPECT_TRUE(carried.adaptation.is_none());
  EXPECT_FALSE(carried.challenger_kept);
  ASSERT_EQ(carried.dropped.size(), 2u);
  EXPECT_EQ(carried.dropped[0], "label of gone");
  EXPECT_NE(carried.dropped[1].find("challenger " + old.challenger.name()), std::string::npos);
}

TEST_F(CarryTest, KeepsTheHeadTheOpenedClassesAndWhoTaughtWhatWasMetBefore) {
  const ClassMoments moments = ClassMoments::Of(knn_->anchors(), 3);
  Judgement judgement;
  judgement.challenger =
      MakeChallenger({Alignment::kNone, Memory::kLda}, features_, moments, labelled_, {});
  const std::vector<std::string> opened = {"rust"};
  const Adaptation first = Compose("b", "event-1", {}, judgement, rows_, labels_, opened);
  ASSERT_TRUE(first.head.has_value());
  EXPECT_EQ(first.head->classes(), 3u);
  EXPECT_EQ(first.opened, opened);

  judgement.challenger.kind = {Alignment::kNone, Memory::kConcept};
  const std::vector<Label> others = {{"t1", 1, "f-2"}};
  const Adaptation again = Compose("b", "event-2", {}, judgement, rows_, others, opened, &first);
  EXPECT_EQ(again.name(), "identity + concept");
  EXPECT_EQ(again.entries, first.entries);
  EXPECT_EQ(again.memory, first.memory);
  EXPECT_EQ(again.labels, others);
}

TEST_F(CarryTest, WritesDownWhoTaughtEachVector) {
  Judgement judgement;
  const ClassMoments moments = ClassMoments::Of(knn_->anchors(), 2);
  judgement.challenger =
      MakeChallenger({Alignment::kNone, Memory::kPropagated}, features_, moments, labelled_, {});
  const Adaptation adaptation = Compose("b", "e", {}, judgement, rows_, labels_);
  ASSERT_EQ(adaptation.entries.size(), adaptation.memory.size());
  for (std::size_t i = 0; i < adaptation.entries.size(); ++i) {
    const MemoryEntry& entry = adaptation.entries[i];
    const bool is_labelled = i < labels_.size();
    EXPECT_EQ(entry.origin, is_labelled ? LabelOrigin::kPerson : LabelOrigin::kPropagated);
    EXPECT_EQ(entry.sample_id == entry.taught_by, is_labelled);
    EXPECT_EQ(entry.feedback_id, "f-1");
    EXPECT_EQ(entry.taught_by, labels_[entry.cluster].sample_id);
  }
}

}  // namespace
}  // namespace tinylcm::adapt
