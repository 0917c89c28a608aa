#include "tinylcm/drift/detectors/python_random.h"

#include <gtest/gtest.h>

#include "base/file_system.h"
#include "base/json.h"

namespace tinylcm::drift {
namespace {

TEST(PythonRandom, DrawsTheSamplesCPythonDraws) {
  const auto text =
      base::ReadTextFile(base::SystemFileSystem(), "data/vectors/kswin_rng.json", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.error().message;
  const auto json = base::Json::Parse(*text);
  ASSERT_TRUE(json.ok());
  PythonRandom random(42, 70);
  std::vector<std::uint32_t> drawn(30);
  int samples = 0;
  for (const base::Json& sample : json->Find("samples")->as_array()) {
    random.Sample(70, drawn);
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      ASSERT_EQ(drawn[i], sample.as_array()[i].as_int()) << "sample " << samples;
    }
    ++samples;
  }
  EXPECT_EQ(samples, 50);
}

TEST(PythonRandom, SeedsLargerThan32BitsCountInFull) {
  // python3 -c "import random; print(random.Random(2**40 + 5).getrandbits(32))", in
  // CPython 3.11, another number than for seed 5.
  EXPECT_EQ(PythonRandom((std::uint64_t{1} << 40) + 5, 1).Next(), 2166296868u);
  EXPECT_EQ(PythonRandom(5, 1).Next(), 2675342405u);
}

TEST(PythonRandom, DrawsASmallPartOfManyAsCPythonDoes) {
  // random.Random(7).sample(range(1000), 6): from so many it draws again until the number is new.
  PythonRandom random(7, 1000);
  std::vector<std::uint32_t> drawn(6);
  random.Sample(1000, drawn);
  EXPECT_EQ(drawn, (std::vector<std::uint32_t>{331, 970, 154, 404, 666, 49}));
}

}  // namespace
}  // namespace tinylcm::drift
