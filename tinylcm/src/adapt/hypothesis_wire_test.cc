#include "tinylcm/src/adapt/hypothesis_wire.h"

#include <gtest/gtest.h>

#include "tinylcm/src/adapt/adaptation_wire.h"

namespace tinylcm::adapt {
namespace {

using state::WireReader;
using state::WireWriter;

constexpr std::uint32_t kVersion = kAdaptationVersion;

const InputStep kDarker{
    .kind = StepKind::kChannelGain, .gains = {4096, 8192, 1}, .offsets = {0, -16, 32}};
const InputStep kTurn{.kind = StepKind::kRotate, .angle_degrees = -20};
const InputStep kRepaired{
    .kind = StepKind::kRepair, .channels = {1}, .base = {0.5f}, .weights = {0.25f, 0.0f, -1.0f}};

TEST(HypothesisWire, ReadsBackEverySequence) {
  const InputStep table{.kind = StepKind::kHistogramMatch,
                        .table = std::vector<std::uint8_t>(768, 9)};
  const InputStep sharp{.kind = StepKind::kUnsharp, .sigma_tenths = 25, .amount_tenths = 15};
  for (const InputHypothesis& hypothesis :
       {InputHypothesis{}, InputHypothesis::Of(kTurn), InputHypothesis{.steps = {kTurn, kDarker}},
        InputHypothesis{.steps = {table, sharp}}, InputHypothesis::Of(kRepaired)}) {
    WireWriter writer;
    WriteHypothesis(writer, hypothesis);
    WireReader reader(writer.bytes());
    InputHypothesis read;
    EXPECT_TRUE(ReadHypothesis(reader, kVersion, read)) << hypothesis.name();
    EXPECT_TRUE(reader.ok() && reader.at_end()) << hypothesis.name();
    EXPECT_EQ(read, hypothesis) << hypothesis.name();
  }
}

TEST(HypothesisWire, ReadsWhatVersionOneWrote) {
  WireWriter writer;
  writer.U8(4);  // rotate
  writer.U32(static_cast<std::uint32_t>(-20));
  writer.U16s({});
  writer.U32(0);
  writer.U8(1);  // channel_gain
  writer.U32(0);
  writer.U16s(kDarker.gains);
  writer.U32(3);
  for (const std::int16_t offset : kDarker.offsets) writer.U16(static_cast<std::uint16_t>(offset));
  writer.U8(0);  // identity
  writer.U32(0);
  writer.U16s({});
  writer.U32(0);
  WireReader reader(writer.bytes());
  for (const InputHypothesis& expected :
       {InputHypothesis::Of(kTurn), InputHypothesis::Of(kDarker), InputHypothesis{}}) {
    InputHypothesis read;
    EXPECT_TRUE(ReadHypothesis(reader, 1, read));
    EXPECT_EQ(read, expected);
  }
  EXPECT_TRUE(reader.ok() && reader.at_end());
}

TEST(HypothesisWire, RefusesWhatVersionOneWroteInALaterAdaptation) {
  WireWriter writer;
  writer.U8(0);  // identity
  writer.U32(0);
  writer.U16s({});
  writer.U32(0);
  WireReader reader(writer.bytes());
  InputHypothesis read;
  EXPECT_FALSE(ReadHypothesis(reader, kVersion, read));
}

TEST(HypothesisWire, RefusesWhatMakesNoSense) {
  const auto reads = [](const InputHypothesis& hypothesis) {
    WireWriter writer;
    WriteHypothesis(writer, hypothesis);
    WireReader reader(writer.bytes());
    InputHypothesis read;
    return ReadHypothesis(reader, kVersion, read);
  };
  EXPECT_TRUE(reads(InputHypothesis::Of(kDarker)));
  EXPECT_FALSE(reads({.steps = {kTurn, kTurn, kTurn}}));
  InputStep step = kDarker;
  step.offsets.pop_back();
  EXPECT_FALSE(reads(InputHypothesis::Of(step)));
  step = kTurn;
  step.kind = static_cast<StepKind>(77);
  EXPECT_FALSE(reads(InputHypothesis::Of(step)));
  step = kRepaired;
  step.base.push_back(1.0f);
  EXPECT_FALSE(reads(InputHypothesis::Of(step)));
}

TEST(InputHypothesis, IsNamedByItsSteps) {
  EXPECT_EQ(InputHypothesis{}.name(), "identity");
  EXPECT_TRUE(InputHypothesis{}.is_identity());
  EXPECT_EQ((InputHypothesis{.steps = {kTurn, kDarker}}).name(), "rotate(-20) + channel_gain");
  EXPECT_EQ((InputStep{.kind = StepKind::kUnsharp, .sigma_tenths = 25}).name(), "unsharp(2.5)");
  EXPECT_EQ((InputStep{.kind = StepKind::kUnsharp, .sigma_tenths = 40}).name(), "unsharp(4)");
}

}  // namespace
}  // namespace tinylcm::adapt
