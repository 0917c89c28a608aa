#include "tinysphere/adaptation/judging.h"

#include <gtest/gtest.h>

namespace tinysphere::adaptation {
namespace {

std::string Refusal(const ProgramEnd& end) {
  const auto read = ReadProgramEnd(end);
  return read.ok() ? "" : read.error().message;
}

TEST(ProgramsWord, IsAJudgementWhereItIsOne) {
  const auto read = ReadProgramEnd(
      {.exit_code = 0,
       .out = "{\"format\":\"tinylcm-judgement/1\",\"judgement\":\"unknown\",\"labels\":3,"
              "\"reason\":\"few\",\"samples\":[]}\n",
       .err = "a warning"});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->labels, 3);
  EXPECT_EQ(read->reason, "few");
}

TEST(ProgramsWord, IsNoneWhereItFailedAndTheLastLineSaysWhy) {
  EXPECT_EQ(Refusal({.exit_code = 2, .out = "", .err = "loading\nvalidate: no such file\n"}),
            "the replay ended with 2: validate: no such file");
  EXPECT_EQ(Refusal({.exit_code = 139, .out = "{}", .err = ""}), "the replay ended with 139");
}

TEST(ProgramsWord, IsMadePlainBeforeAnybodyReadsIt) {
  const std::string said =
      Refusal({.exit_code = 1, .out = "", .err = "\x1b[31m" + std::string(1000, 'x') + "\xff"});
  EXPECT_LT(said.size(), 350u);
  EXPECT_TRUE(said.starts_with("the replay ended with 1: ?[31mxxx")) << said;
}

TEST(ProgramsWord, IsNoneWhereItIsNonsense) {
  EXPECT_NE(Refusal({.exit_code = 0, .out = "helped", .err = ""}).find("said no judgement"),
            std::string::npos);
  // A verdict without the figures that it rests on.
  EXPECT_NE(Refusal({.exit_code = 0,
                     .out = "{\"format\":\"tinylcm-judgement/1\",\"judgement\":\"helped\","
                            "\"labels\":3,\"reason\":\"\",\"samples\":[]}",
                     .err = ""})
                .find("figures"),
            std::string::npos);
}

TEST(ProgramsWord, WhatCouldNotBeJudgedIsUnknownAndSaysWhy) {
  const protocol::Judgement judgement = UnknownBecause("no program");
  EXPECT_EQ(judgement.judgement, protocol::JudgementKind::kUnknown);
  EXPECT_EQ(judgement.reason, "no program");
  EXPECT_EQ(judgement.labels, 0);
}

}  // namespace
}  // namespace tinysphere::adaptation
