#include "tools/tinyscene/settings.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace tinyscene {
namespace {

std::string ErrorOf(std::string_view text, Kind kind = Kind::kCamera) {
  const auto settings = ParseControl(text, kind, Pool::kA);
  return settings.ok() ? "" : settings.error().message;
}

TEST(Control, StatesEverythingSoThatWhatIsMissingIsZero) {
  const Settings settings =
      ParseControl(R"({"light": 0.5, "dirt": 1, "unseen": 0.25})", Kind::kCamera, Pool::kB).value();
  EXPECT_EQ(
      settings,
      (Settings{
          .pool = Pool::kB, .drifts = {.light = .5, .dirt = 1}, .unseen = .25, .stop = false}));
  EXPECT_EQ(ParseControl(R"({"pool":"A","stop":true})", Kind::kCamera, Pool::kB).value(),
            (Settings{.pool = Pool::kA, .drifts = {}, .unseen = 0, .stop = true}));
}

TEST(Control, KnowsTheDriftsOfItsKindOnly) {
  EXPECT_EQ(ParseControl(R"({"aged": 0.7})", Kind::kRows, Pool::kA).value().drifts.aged, .7);
  EXPECT_EQ(ErrorOf(R"({"aged": 0.7})"), "aged: unknown");
  EXPECT_EQ(ErrorOf(R"({"light": 0.7})", Kind::kRows), "light: unknown");
}

TEST(Control, NamesTheKeyThatIsWrong) {
  EXPECT_EQ(ErrorOf(R"({"ligth": 0.7})"), "ligth: unknown");
  EXPECT_EQ(ErrorOf(R"({"light": 1.7})"), "light: 1.7 is not a strength from 0 to 1");
  EXPECT_EQ(ErrorOf(R"({"light": "much"})"), "light: not a number");
  EXPECT_EQ(ErrorOf(R"({"pool": "C"})"), "pool: \"C\" is not T, A or B");
  EXPECT_EQ(ErrorOf(R"({"pool": 1})"), "pool: not a text");
  EXPECT_EQ(ErrorOf(R"({"stop": 1})"), "stop: not true or false");
  EXPECT_EQ(ErrorOf("[]"), "not a JSON object");
  EXPECT_NE(ErrorOf("{\"light\": "), "");
}

class ControlFileTest : public testing::Test {
 protected:
  void Put(std::string_view text) {
    ASSERT_TRUE(base::WriteFileDurably(fs_, path_, base::AsBytes(text)).ok());
  }
  void TearDown() override { ASSERT_TRUE(base::RemoveTree(fs_, path_).ok()); }

  base::FileSystem& fs_ = base::SystemFileSystem();
  std::string path_ = base::StrCat(testing::TempDir(), "tinyscene_control_",
                                   testing::UnitTest::GetInstance()->random_seed(), ".json");
  ControlFile control_{fs_, path_, Kind::kCamera, Pool::kA};
};

TEST_F(ControlFileTest, GivesEachContentOnce) {
  Put(R"({"light": 0.5})");
  EXPECT_EQ(control_.Poll().value().value().drifts.light, .5);
  EXPECT_FALSE(control_.Poll().value().has_value());
  Put(R"({"light": 0.6})");
  EXPECT_EQ(control_.Poll().value().value().drifts.light, .6);
}

TEST_F(ControlFileTest, ReportsAMalformedContentOnceAndGivesNoSettingsForIt) {
  Put(R"({"light": 0.5})");
  ASSERT_TRUE(control_.Poll().ok());
  Put(R"({"light": )");
  EXPECT_FALSE(control_.Poll().ok());
  EXPECT_FALSE(control_.Poll().value().has_value());
  Put(R"({"light": 0.5})");
  EXPECT_EQ(control_.Poll().value().value().drifts.light, .5);
}

TEST_F(ControlFileTest, ReportsAMissingFileOnce) {
  EXPECT_FALSE(control_.Poll().ok());
  EXPECT_FALSE(control_.Poll().value().has_value());
}

}  // namespace
}  // namespace tinyscene
