#include "tinysphere/platform/mlflow/names.h"

#include <gtest/gtest.h>

#include <string>

namespace tinysphere::mlflow {
namespace {

TEST(Names, WhatMlflowTakesStaysAsItIs) {
  for (const char* name : {"accuracy", "device/d-3f/accuracy", "a b", "a:b", "input.scale"}) {
    EXPECT_TRUE(CheckName("metric", name).ok()) << name;
    EXPECT_EQ(ToName(name), name);
  }
}

TEST(Names, WhatItWouldRefuseIsMappedAndStaysApart) {
  for (const char* name : {"", "a$b", "/a", "a/", "a//b", "a/../b", "\xc3\xa4", "a\nb"}) {
    EXPECT_FALSE(CheckName("metric", name).ok()) << name;
    EXPECT_TRUE(CheckName("metric", ToName(name)).ok()) << ToName(name);
  }
  EXPECT_NE(ToName("a$b"), ToName("a%b"));
  const std::string longer(300, 'k');
  EXPECT_EQ(ToName(longer).size(), kNameMax);
  EXPECT_NE(ToName(longer), ToName(longer + "k"));
}

TEST(Names, ATextThatIsTooLongSaysHowLongItWas) {
  const std::string text(7000, 'v');
  const std::string shortened = Shorten(text, kParamMax);
  EXPECT_EQ(CountCharacters(shortened), kParamMax);
  EXPECT_TRUE(shortened.ends_with(" ... (7000 characters in TinySphere)"));
  EXPECT_TRUE(CheckText("parameter", shortened, kParamMax).ok());
  EXPECT_FALSE(CheckText("parameter", text, kParamMax).ok());
}

TEST(Names, LengthsAreCountedInCharactersAndNoneIsCutInTwo) {
  std::string snow;
  for (int i = 0; i < 6001; ++i) snow += "\xe2\x98\x83";
  EXPECT_EQ(CountCharacters(snow), 6001u);
  const std::string shortened = Shorten(snow, kParamMax);
  EXPECT_EQ(CountCharacters(shortened), kParamMax);
  const std::size_t end = shortened.find(" ...");
  EXPECT_EQ(end % 3, 0u);
}

TEST(Names, AnAliasIsNoVersionAndNotLatest) {
  for (const char* alias : {"champion", "fleet-site_a", "v", "vx1"}) {
    EXPECT_TRUE(CheckAlias(alias).ok()) << alias;
  }
  for (const char* alias : {"", "latest", "Latest", "v1", "V12", "fleet.a", "a b"}) {
    EXPECT_FALSE(CheckAlias(alias).ok()) << alias;
  }
}

TEST(Names, AStatusThatWouldBeIgnoredIsRefused) {
  EXPECT_TRUE(CheckRunStatus("FINISHED").ok());
  EXPECT_EQ(CheckRunStatus("DONE").error().message,
            "run status \"DONE\": is none that MLflow knows, and it would be ignored");
}

TEST(Names, AnArtifactStaysBelowItsFolder) {
  EXPECT_TRUE(CheckArtifactPath("code/tinysphere_model.py").ok());
  for (const char* path : {"", "/etc/x", "../x", "a/../x", "a b", "a%2e"}) {
    EXPECT_FALSE(CheckArtifactPath(path).ok()) << path;
  }
}

}  // namespace
}  // namespace tinysphere::mlflow
