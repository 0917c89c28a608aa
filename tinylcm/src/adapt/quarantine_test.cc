#include "tinylcm/adapt/quarantine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/random.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::adapt {
namespace {

using base::Bytes;
using base::ErrorCode;
using tests::FakeFileSystem;

QuarantinedSample MakeSample(int number) {
  QuarantinedSample sample;
  sample.sample_id = "s" + std::to_string(number);
  sample.index = static_cast<std::uint64_t>(1000 + number);
  sample.prediction = 3;
  sample.confidence = 0.25f;
  sample.distance = 0.5f;
  sample.novelty = static_cast<float>(number % 10) / 10.0f;
  sample.bundle = "b";
  sample.neighbours = {{.anchor = 7, .label = 3, .distance = 0.4f}};
  sample.reason = "drift";
  sample.raw = {1.0f, static_cast<float>(number)};
  base::Random random(static_cast<std::uint64_t>(number));
  for (int j = 0; j < 4; ++j) sample.feature.push_back(static_cast<float>(random.Normal()));
  return sample;
}

Bytes Picture(int number) { return Bytes(100, static_cast<std::uint8_t>(number)); }

class QuarantineTest : public testing::Test {
 protected:
  Quarantine Open(const Quarantine::Options& options = {}) {
    return Quarantine::Open(fs_, "quarantine", options).value();
  }
  static void Fill(Quarantine& quarantine, int from, int to) {
    for (int i = from; i < to; ++i) ASSERT_TRUE(quarantine.Add(MakeSample(i), Picture(i)).ok());
  }
  FakeFileSystem fs_;
  static constexpr const char* kFile = "quarantine/samples.tlq";
};

TEST_F(QuarantineTest, GivesBackWhatWasPutInAfterARestart) {
  {
    Quarantine quarantine = Open();
    ASSERT_TRUE(quarantine.Begin("event-1").ok());
    Fill(quarantine, 0, 3);
    ASSERT_TRUE(quarantine.Add(MakeSample(3), {}).ok());  // A sensor row has no picture.
    ASSERT_TRUE(quarantine.SetLabel({"s1", 9, "f-1"}).ok());
  }  // Killed: nothing was synced, but the machine goes on.
  const Quarantine quarantine = Open();
  EXPECT_EQ(quarantine.event_id(), "event-1");
  ASSERT_EQ(quarantine.current_count(), 4u);
  const QuarantinedSample& sample = quarantine.samples()[2];
  const QuarantinedSample expected = MakeSample(2);
  EXPECT_EQ(sample.sample_id, "s2");
  EXPECT_EQ(sample.index, 1002u);
  EXPECT_EQ(sample.prediction, 3);
  EXPECT_EQ(sample.confidence, 0.25f);
  EXPECT_EQ(sample.distance, 0.5f);
  EXPECT_EQ(sample.novelty, 0.2f);
  EXPECT_EQ(sample.stands_for, 1.0f);
  EXPECT_EQ(sample.bundle, "b");
  ASSERT_EQ(sample.neighbours.size(), 1u);
  EXPECT_EQ(sample.neighbours[0].anchor, 7u);
  EXPECT_EQ(sample.reason, "drift");
  EXPECT_EQ(sample.raw, expected.raw);
  EXPECT_EQ(sample.feature, expected.feature);
  EXPECT_EQ(quarantine.Picture("s2").value(), Picture(2));
  EXPECT_EQ(quarantine.Picture("s3").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(quarantine.labels().at("s1"), (Label{"s1", 9, "f-1"}));
}

TEST_F(QuarantineTest, TakesNoMoreThanItsBound) {
  Quarantine quarantine = Open({.samples_max = 3});
  ASSERT_TRUE(quarantine.Begin("event-1").ok());
  Fill(quarantine, 0, 3);
  EXPECT_TRUE(quarantine.is_full());
  EXPECT_EQ(quarantine.Add(MakeSample(3), {}).error().code, ErrorCode::kExhausted);
}

// Entries of some 240 bytes, room for four of them.
TEST_F(QuarantineTest, MakesRoomForWhatComesAndRemembersWhatWent) {
  const Quarantine::Options options{.samples_max = 50, .bytes_max = 1000};
  std::set<std::string> left;
  {
    Quarantine quarantine = Open(options);
    ASSERT_TRUE(quarantine.Begin("event-1").ok());
    Fill(quarantine, 0, 3);
    ASSERT_TRUE(quarantine.SetLabel({"s1", 2, "f"}).ok());
    quarantine.Hold(std::vector<std::string>{"s2", "nobody"});
    Fill(quarantine, 3, 40);
    EXPECT_EQ(quarantine.taken_count(), 40u);
    EXPECT_LT(quarantine.current_count(), 5u);
    EXPECT_LE(quarantine.bytes(), 2 * 1000u + 300u) << "the dead go from the file now and then";
    EXPECT_FALSE(quarantine.is_full());
    EXPECT_NE(quarantine.Find("s1"), nullptr) << "labelled";
    EXPECT_NE(quarantine.Find("s2"), nullptr) << "held";
    float stand_for = 0.0f;
    for (const QuarantinedSample& sample : quarantine.samples()) {
      stand_for += sample.stands_for;
      left.insert(sample.sample_id);
      EXPECT_EQ(quarantine.Picture(sample.sample_id).value(),
                Picture(static_cast<int>(sample.index) - 1000));
    }
    EXPECT_EQ(stand_for, 40.0f) << "those who are here stand for all";
  }
  const Quarantine after = Open(options);
  EXPECT_EQ(after.taken_count(), 40u);
  float stand_for = 0.0f;
  for (const QuarantinedSample& sample : after.samples()) stand_for += sample.stands_for;
  EXPECT_EQ(stand_for, 40.0f);
  for (int i = 0; i < 40; ++i) {
    const std::string id = "s" + std::to_string(i);
    EXPECT_EQ(after.WasEvicted(id), !left.contains(id)) << id;
    EXPECT_EQ(after.Find(id) != nullptr, left.contains(id)) << id;
  }
  EXPECT_FALSE(after.WasEvicted("s40"));
}

TEST_F(QuarantineTest, IsFullWhenNobodyCanGiveWay) {
  Quarantine quarantine = Open({.samples_max = 50, .bytes_max = 1000});
  ASSERT_TRUE(quarantine.Begin("event-1").ok());
  int taken = 0;
  while (quarantine.Add(MakeSample(taken), Picture(taken)).ok()) {
    quarantine.Hold(std::vector<std::string>{"s" + std::to_string(taken)});
    ++taken;
  }
  EXPECT_EQ(quarantine.Add(MakeSample(taken), Picture(taken)).error().code, ErrorCode::kExhausted);
  EXPECT_GT(taken, 1);
  EXPECT_TRUE(quarantine.is_full());
  ASSERT_TRUE(quarantine.Begin("event-2").ok());
  EXPECT_FALSE(quarantine.is_full());
  EXPECT_TRUE(quarantine.WasEvicted("s0"));
}

TEST_F(QuarantineTest, RemembersTheLastFourThousandThatWent) {
  Quarantine quarantine = Open({.samples_max = 3000});
  ASSERT_TRUE(quarantine.Begin("event-1").ok());
  for (int event = 0; event < 2; ++event) {
    for (int i = 0; i < 2500; ++i) {
      QuarantinedSample sample;
      sample.sample_id = std::to_string(event) + "-" + std::to_string(i);
      ASSERT_TRUE(quarantine.Add(sample, {}).ok());
    }
    ASSERT_TRUE(quarantine.Begin("next").ok());
  }
  // 5,000 went: of the first 904 nothing is known any more.
  EXPECT_FALSE(quarantine.WasEvicted("0-903"));
  EXPECT_TRUE(quarantine.WasEvicted("0-904"));
  EXPECT_TRUE(quarantine.WasEvicted("1-2499"));
  EXPECT_TRUE(Open().WasEvicted("0-904"));
  EXPECT_FALSE(Open().WasEvicted("0-903"));
}

TEST_F(QuarantineTest, KeepsOfEveryClassTheLabelsOfBefore) {
  Quarantine quarantine = Open({.labelled_max = 4});
  ASSERT_TRUE(quarantine.Begin("event-1").ok());
  Fill(quarantine, 0, 10);
  for (int i = 0; i < 10; ++i) {
    // Two of class 7, eight of class 1.
    const std::uint16_t label = i < 2 ? 7 : 1;
    ASSERT_TRUE(quarantine.SetLabel({"s" + std::to_string(i), label, "f"}).ok());
  }
  ASSERT_TRUE(quarantine.Begin("event-2").ok());
  ASSERT_EQ(quarantine.labels().size(), 4u);
  EXPECT_TRUE(quarantine.labels().contains("s0"));
  EXPECT_TRUE(quarantine.labels().contains("s1"));
}

TEST_F(QuarantineTest, OpensClassesByNameOnce) {
  {
    Quarantine quarantine = Open();
    ASSERT_TRUE(quarantine.Begin("e").ok());
    Fill(quarantine, 0, 2);
    EXPECT_EQ(quarantine.OpenClass("crab").value(), 0u);
    EXPECT_EQ(quarantine.OpenClass("eel").value(), 1u);
    EXPECT_EQ(quarantine.OpenClass("crab").value(), 0u);
    ASSERT_TRUE(quarantine.SetLabel({"s0", 11, "f", 0.5f}).ok());
  }
  Quarantine quarantine = Open();
  EXPECT_EQ(quarantine.opened(), (std::vector<std::string>{"crab", "eel"}));
  EXPECT_EQ(quarantine.labels().at("s0"), (Label{"s0", 11, "f", 0.5f}));
  for (std::size_t i = 0; i < Quarantine::kOpenedMax; ++i) {
    static_cast<void>(quarantine.OpenClass("class " + std::to_string(i)).ok());
  }
  EXPECT_EQ(quarantine.OpenClass("one more").error().code, ErrorCode::kExhausted);
}

TEST_F(QuarantineTest, KeepsTheNamesOfClassesWhenAnotherBundleNumbersThemAnew) {
  Quarantine quarantine = Open();
  ASSERT_TRUE(quarantine.SetClasses({"ape", "bee", "cow", "dog"}).ok());
  ASSERT_TRUE(quarantine.Begin("e").ok());
  Fill(quarantine, 0, 4);  // All answered as 3, "dog".
  ASSERT_EQ(quarantine.OpenClass("crab").value(), 0u);
  ASSERT_EQ(quarantine.OpenClass("eel").value(), 1u);
  ASSERT_TRUE(quarantine.SetLabel({"s0", 1, "f"}).ok());  // bee
  ASSERT_TRUE(quarantine.SetLabel({"s1", 2, "f"}).ok());  // cow
  ASSERT_TRUE(quarantine.SetLabel({"s2", 4, "f"}).ok());  // crab
  ASSERT_TRUE(quarantine.SetLabel({"s3", 5, "f"}).ok());  // eel
  // The new bundle has crabs of its own and no cows; its dogs come first.
  ASSERT_TRUE(quarantine.SetClasses({"dog", "bee", "crab"}).ok());
  EXPECT_EQ(quarantine.opened(), (std::vector<std::string>{"eel", "cow"}));
  const Quarantine after = Open();
  EXPECT_EQ(after.classes(), (std::vector<std::string>{"dog", "bee", "crab"}));
  EXPECT_EQ(after.opened(), (std::vector<std::string>{"eel", "cow"}));
  EXPECT_EQ(after.labels().at("s0").label, 1);
  EXPECT_EQ(after.labels().at("s1").label, 4);
  EXPECT_EQ(after.labels().at("s2").label, 2);
  EXPECT_EQ(after.labels().at("s3").label, 3);
  EXPECT_EQ(after.samples()[0].prediction, 0);
  EXPECT_EQ(after.samples()[0].neighbours[0].label, 0);
  // And back again: every name is where it was.
  ASSERT_TRUE(quarantine.SetClasses({"ape", "bee", "cow", "dog"}).ok());
  EXPECT_EQ(quarantine.opened(), (std::vector<std::string>{"eel", "crab"}));
  EXPECT_EQ(quarantine.labels().at("s1").label, 2);
  EXPECT_EQ(quarantine.labels().at("s2").label, 5);
  EXPECT_EQ(quarantine.samples()[0].prediction, 3);
}

// As version 1 wrote them: no novelty, no weight.
TEST_F(QuarantineTest, ReadsWhatAnEarlierVersionLeft) {
  state::WireWriter sample;
  sample.Text("s9");
  sample.U64(1009);
  sample.U16(3);
  sample.F32(0.25f);
  sample.F32(0.5f);
  sample.U32(0);
  sample.Text("drift");
  sample.Floats(std::vector<float>{1.0f});
  sample.Floats(std::vector<float>{2.0f});
  sample.Blob(Picture(9));
  state::WireWriter label;
  label.Text("s9");
  label.U16(4);
  label.Text("f-1");
  state::WireWriter begin;
  begin.Text("event-1");
  state::WireWriter file;
  const auto entry = [&](std::uint8_t type, const state::WireWriter& payload) {
    state::WireWriter covered;
    covered.U32(static_cast<std::uint32_t>(payload.bytes().size()));
    covered.U8(type);
    file.U32(0x51434c54);
    file.Raw(covered.bytes());
    file.U32(base::Crc32c(payload.bytes(), base::Crc32c(covered.bytes())));
    file.Raw(payload.bytes());
  };
  entry(0, begin);
  entry(1, sample);
  entry(2, label);
  ASSERT_TRUE(fs_.CreateDirectories("quarantine").ok());
  fs_.Write(kFile, file.bytes());
  const Quarantine quarantine = Open();
  EXPECT_EQ(quarantine.set_aside(), 0u);
  ASSERT_EQ(quarantine.current_count(), 1u);
  EXPECT_EQ(quarantine.samples()[0].stands_for, 1.0f);
  EXPECT_EQ(quarantine.samples()[0].feature, std::vector<float>{2.0f});
  EXPECT_EQ(quarantine.labels().at("s9"), (Label{"s9", 4, "f-1", 1.0f}));
  EXPECT_EQ(quarantine.Picture("s9").value(), Picture(9));
}

TEST_F(QuarantineTest, RefusesASampleTwice) {
  Quarantine quarantine = Open();
  Fill(quarantine, 0, 1);
  EXPECT_EQ(quarantine.Add(MakeSample(0), {}).error().code, ErrorCode::kConflict);
}

TEST_F(QuarantineTest, KeepsLabelledSamplesForLaterAndDropsTheRest) {
  {
    Quarantine quarantine = Open({.labelled_max = 2});
    ASSERT_TRUE(quarantine.Begin("event-1").ok());
    Fill(quarantine, 0, 6);
    for (const char* id : {"s1", "s3", "s5"}) {
      ASSERT_TRUE(quarantine.SetLabel({id, 1, "f"}).ok());
    }
    ASSERT_TRUE(quarantine.Begin("event-2").ok());
    EXPECT_EQ(quarantine.current_count(), 0u);
    Fill(quarantine, 6, 8);
  }
  fs_.Crash();  // What Begin wrote is durable; s6 and s7 were not synced.
  Quarantine quarantine = Open({.labelled_max = 2});
  EXPECT_EQ(quarantine.event_id(), "event-2");
  // Of three labelled alike the one in the middle went: novelty .1, .3, .5.
  ASSERT_EQ(quarantine.samples().size(), 2u);
  EXPECT_EQ(quarantine.samples()[0].sample_id, "s1");
  EXPECT_EQ(quarantine.samples()[1].sample_id, "s5");
  EXPECT_TRUE(quarantine.WasEvicted("s3"));
  EXPECT_EQ(quarantine.Picture("s5").value(), Picture(5));
  EXPECT_EQ(quarantine.labels().size(), 2u);
}

TEST_F(QuarantineTest, LosesNothingThatWasSynced) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    bool reached = true;
    for (int n = 0; reached; ++n) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", power off at " << n);
      FakeFileSystem fs;
      fs.PowerOffAt(n);
      int synced = 0;
      base::Result<Quarantine> quarantine = Quarantine::Open(fs, "q", {});
      if (quarantine.ok() && quarantine->Begin("e").ok()) {
        for (int i = 0; i < 6; ++i) {
          if (!quarantine->Add(MakeSample(i), Picture(i)).ok()) break;
          if (i % 2 == 1) {
            if (!quarantine->Sync().ok()) break;
            synced = i + 1;
          }
        }
      }
      reached = fs.power_is_off();
      fs.Crash(seed);
      const base::Result<Quarantine> after = Quarantine::Open(fs, "q", {});
      ASSERT_TRUE(after.ok()) << after.error().message;
      for (int i = 0; i < synced; ++i) {
        EXPECT_EQ(after->Picture("s" + std::to_string(i)).value(), Picture(i));
      }
    }
  }
}

TEST_F(QuarantineTest, SetsATornTailAsideAndGoesOn) {
  {
    Quarantine quarantine = Open();
    ASSERT_TRUE(quarantine.Begin("e").ok());
    Fill(quarantine, 0, 3);
  }
  fs_.Truncate(kFile, fs_.Stat(kFile).value().bytes - 10);
  {
    Quarantine quarantine = Open();
    EXPECT_EQ(quarantine.current_count(), 2u);
    EXPECT_EQ(quarantine.set_aside(), 1u);
    EXPECT_TRUE(base::Exists(fs_, "quarantine/set_aside.bin"));
    Fill(quarantine, 3, 5);
  }
  const Quarantine quarantine = Open();
  EXPECT_EQ(quarantine.current_count(), 4u);
  EXPECT_EQ(quarantine.set_aside(), 0u);
  EXPECT_EQ(quarantine.Picture("s4").value(), Picture(4));
}

TEST_F(QuarantineTest, LosesOneEntryToOneFlippedBitWhereverItIs) {
  {
    Quarantine quarantine = Open();
    ASSERT_TRUE(quarantine.Begin("e").ok());
    Fill(quarantine, 0, 4);
  }
  const std::uint64_t size = fs_.Stat(kFile).value().bytes;
  for (std::uint64_t byte = 0; byte < size; byte += 3) {
    FakeFileSystem copy;
    copy.Write(kFile, base::ReadFile(fs_, kFile, 1u << 20).value());
    copy.FlipBit(kFile, byte, static_cast<int>(byte % 8));
    const Quarantine quarantine = Quarantine::Open(copy, "quarantine", {}).value();
    EXPECT_EQ(quarantine.set_aside(), 1u) << "byte " << byte;
    // Either the event's first entry was hit, or one of the samples.
    EXPECT_GE(quarantine.samples().size(), 3u) << "byte " << byte;
  }
}

TEST_F(QuarantineTest, NamesAPictureThatNoLongerMatches) {
  Quarantine quarantine = Open();
  Fill(quarantine, 0, 1);
  fs_.FlipBit(kFile, fs_.Stat(kFile).value().bytes - 1, 0);
  const base::Result<Bytes> picture = quarantine.Picture("s0");
  ASSERT_FALSE(picture.ok());
  EXPECT_EQ(picture.error().code, ErrorCode::kCorrupt);
}

TEST_F(QuarantineTest, MakesItsFileAnewAfterADiskThatWasFull) {
  Quarantine quarantine = Open();
  ASSERT_TRUE(quarantine.Begin("e").ok());
  Fill(quarantine, 0, 2);
  fs_.SetCapacity(fs_.Stat(kFile).value().bytes + 50);  // Room for a quarter of an entry.
  EXPECT_EQ(quarantine.Add(MakeSample(2), Picture(2)).error().code, ErrorCode::kExhausted);
  fs_.SetCapacity(1u << 20);
  Fill(quarantine, 3, 5);
  ASSERT_TRUE(quarantine.Sync().ok());
  fs_.Crash();
  const Quarantine after = Open();
  EXPECT_EQ(after.set_aside(), 0u);
  EXPECT_EQ(after.current_count(), 4u);
  EXPECT_EQ(after.Picture("s1").value(), Picture(1));
  EXPECT_EQ(after.Picture("s4").value(), Picture(4));
}

TEST_F(QuarantineTest, ErasesEveryPictureAndKeepsTheSamples) {
  {
    Quarantine quarantine = Open();
    ASSERT_TRUE(quarantine.Begin("event-1").ok());
    Fill(quarantine, 0, 3);
    ASSERT_TRUE(quarantine.SetLabel({"s1", 9, "f-1"}).ok());
    fs_.Write("quarantine/set_aside.bin", Picture(2));
    ASSERT_TRUE(quarantine.ErasePictures().ok());
  }
  fs_.Crash();  // Durable.
  const Quarantine quarantine = Open();
  EXPECT_EQ(quarantine.current_count(), 3u);
  EXPECT_TRUE(quarantine.labels().contains("s1"));
  EXPECT_EQ(quarantine.Picture("s1").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(fs_.List("quarantine").value().size(), 1u) << "damaged pieces may hold pictures too";
  const Bytes file = base::ReadFile(fs_, kFile, 1u << 20).value();
  const Bytes picture = Picture(2);
  EXPECT_EQ(std::search(file.begin(), file.end(), picture.begin(), picture.end()), file.end());
}

TEST_F(QuarantineTest, ReplacesAndRemovesLabels) {
  Quarantine quarantine = Open();
  Fill(quarantine, 0, 2);
  ASSERT_TRUE(quarantine.SetLabel({"s0", 1, "f-1"}).ok());
  ASSERT_TRUE(quarantine.SetLabel({"s0", 2, "f-2"}).ok());
  ASSERT_TRUE(quarantine.SetLabel({"s1", 2, "f-2"}).ok());
  ASSERT_TRUE(quarantine.RemoveLabel("s1").ok());
  EXPECT_EQ(quarantine.RemoveLabel("s1").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(quarantine.SetLabel({"nobody", 2, "f"}).error().code, ErrorCode::kNotFound);
  const Quarantine after = Open();
  ASSERT_EQ(after.labels().size(), 1u);
  EXPECT_EQ(after.labels().at("s0"), (Label{"s0", 2, "f-2"}));
}

TEST_F(QuarantineTest, AsksForSamplesOfItsOwnThatCoverItAll) {
  Quarantine quarantine = Open();
  ASSERT_TRUE(quarantine.Begin("e").ok());
  Fill(quarantine, 0, 100);
  const std::vector<Quarantine::Asked> asked = quarantine.AskFor(24, 5);
  ASSERT_EQ(asked.size(), 24u);
  std::set<std::string> ids;
  float mass = 0.0f;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    EXPECT_NE(quarantine.Find(asked[i].sample_id), nullptr);
    ids.insert(asked[i].sample_id);
    mass += asked[i].cluster_mass;
    EXPECT_FALSE(asked[i].reason.empty());
  }
  EXPECT_EQ(ids.size(), 24u);
  EXPECT_NEAR(mass, 1.0f, 1e-4);
  EXPECT_EQ(quarantine.AskFor(24, 5)[3].sample_id, asked[3].sample_id);
  // More of them later: others.
  ASSERT_TRUE(quarantine.SetLabel({asked[0].sample_id, 1, "f"}).ok());
  ids.erase(asked[0].sample_id);  // Labelled is as good as asked.
  const std::vector<std::string> already(ids.begin(), ids.end());
  const std::vector<Quarantine::Asked> more = quarantine.AskFor(10, 5, already);
  EXPECT_EQ(more.size(), 10u);
  for (const Quarantine::Asked& one : more) {
    EXPECT_FALSE(ids.contains(one.sample_id));
    EXPECT_NE(one.sample_id, asked[0].sample_id);
  }
  EXPECT_TRUE(Open({}).AskFor(0, 1).empty());
}

}  // namespace
}  // namespace tinylcm::adapt
