#include "tinysphere/upkeep/fsck.h"

#include <algorithm>

#include "tinysphere/upkeep/stand_test.h"

namespace tinysphere::upkeep {
namespace {

using std::chrono::hours;

using Problems = std::vector<std::string>;  // "missing packages/d-1/e1/1"

class FsckTest : public UpkeepTest {
 protected:
  Problems Run(bool reads_contents = true) {
    Problems problems;
    FsckOptions options{.reads_contents = reads_contents};
    options.found = [&](const Problem& problem) {
      problems.push_back(base::StrCat(Name(problem.kind), " ", problem.object_key));
    };
    const auto counts = Fsck(*database_, *objects_, clock_, options);
    EXPECT_TRUE(counts.ok()) << (counts.ok() ? "" : counts.error().message);
    counts_ = counts.value();
    EXPECT_EQ(counts_.problems(), problems.size());
    std::sort(problems.begin(), problems.end());
    return problems;
  }
  void AddBundle(const std::string& content) {
    const std::string sha256 = base::Sha256Hex(base::AsBytes(content));
    Put("bundles/sha256/" + sha256, content, hours(5));
    Execute(
        "INSERT INTO bundles (bundle, archive_sha256, bytes, object_key, publisher, manifest, "
        "created_at) VALUES ($1, $1, $2, $3, '', '{}', 0)",
        {sha256, content.size(), "bundles/sha256/" + sha256});
  }

  FsckCounts counts_;
};

TEST_F(FsckTest, FindsNothingWrongWhereNothingIs) {
  AddPackage("d-1", 1, "processed", hours(5));
  AddPackage("d-2", 1, "stored", hours(5));
  AddBundle("bundle");
  Execute(
      "INSERT INTO drift_samples (device_id, sample_id, event_id, sample_index, prediction, "
      "confidence, reason, neighbours, media, object_key) "
      "VALUES ('d-1', 's:1', 'v', 1, 'a', 0.5, '', '[]', 'image', 'drift-samples/d-1/s=1.jpg')");
  Put("drift-samples/d-1/s=1.jpg", "jpeg", hours(5));
  EXPECT_EQ(Run(), Problems{});
  EXPECT_EQ(counts_.rows, 4u);
  EXPECT_EQ(counts_.objects, 4u);
  EXPECT_EQ(counts_.hashed, 3u);                // A sample's row knows no digest.
  EXPECT_EQ(counts_.bytes, 7u + 7u + 6u + 4u);  // archive, archive, bundle, jpeg
}

TEST_F(FsckTest, FindsARowWithoutItsObject) {
  const std::string key = AddPackage("d-1", 1, "processed", hours(5));
  AddPackage("d-1", 2, "processed", hours(5));
  ASSERT_TRUE(objects_->Delete(key).ok());
  EXPECT_EQ(Run(), Problems{"missing " + key});
}

TEST_F(FsckTest, FindsAnObjectWithoutARow) {
  AddPackage("d-1", 1, "processed", hours(5));
  // Before, between, after the devices that are known, and of one of them.
  for (const char* key :
       {"packages/d-0/e1/1", "packages/d-1/e1/0", "packages/d-1-x/e1/1", "packages/d-3/e1/1",
        "packages/loose", "bundles/sha256/ff", "drift-samples/verdicts/f-1.jsonl"}) {
    Put(key, "x", hours(5));
  }
  EXPECT_EQ(Run(), (Problems{"orphan bundles/sha256/ff", "orphan drift-samples/verdicts/f-1.jsonl",
                             "orphan packages/d-0/e1/1", "orphan packages/d-1-x/e1/1",
                             "orphan packages/d-1/e1/0", "orphan packages/d-3/e1/1",
                             "orphan packages/loose"}));
}

TEST_F(FsckTest, WaitsForTheRowOfWhatWasJustPut) {
  Put("packages/d-1/e1/9", "x", std::chrono::minutes(59));
  EXPECT_EQ(Run(), Problems{});
  clock_.Advance(std::chrono::minutes(2));
  EXPECT_EQ(Run(), Problems{"orphan packages/d-1/e1/9"});
}

TEST_F(FsckTest, FindsAContentThatIsNotWhatItsRowSays) {
  const std::string flipped = AddPackage("d-1", 1, "processed", hours(5));
  const std::string shorter = AddPackage("d-1", 2, "processed", hours(5));
  AddPackage("d-1", 3, "processed", hours(5));
  disk_.FlipBit("/data/objects/" + flipped, 3, 1);
  disk_.Truncate("/data/objects/" + shorter, 3);
  EXPECT_EQ(Run(), (Problems{"damaged " + flipped, "damaged " + shorter}));
  EXPECT_EQ(Run(/*reads_contents=*/false), Problems{"damaged " + shorter});
  EXPECT_EQ(counts_.hashed, 0u);
}

TEST_F(FsckTest, ExpectsNoArchiveOfAPackageThatExpired) {
  const std::string key = AddPackage("d-1", 1, "expired", hours(5));
  ASSERT_TRUE(objects_->Delete(key).ok());
  EXPECT_EQ(Run(), Problems{});
}

TEST_F(FsckTest, LooksForWhatDevicesLearned) {
  const std::string sha256 = base::Sha256Hex(base::AsBytes("learned"));
  Execute(
      "INSERT INTO adapted (device_id, adaptation_sha256, champion_sha256, received_at) "
      "VALUES ('d-1', $1, 'c0', 0)",
      {sha256});
  Execute(
      "INSERT INTO learned_versions (device_id, adaptation_sha256, package_id, base_bundle, "
      "name, document, object_key, bytes, received_at) "
      "VALUES ('d-1', $1, 'p', 'b', 'n', '{}', $2, 7, 0)",
      {sha256, "adaptations/d-1/" + sha256});
  Put("adaptations/d-1/" + sha256, "learned", hours(5));
  EXPECT_EQ(Run(), Problems{"missing adaptations/d-1/c0"});
  EXPECT_EQ(counts_.hashed, 1u);
}

TEST_F(FsckTest, AllowsWhatLiesWithAnEventThatIsKnown) {
  Execute(
      "INSERT INTO drift_events (device_id, event_id, package_id, kind, sample_index, document, "
      "received_at, state) VALUES ('d-1', 'v:1', 'p', 'k', 0, '{}', 0, 'open')");
  for (const char* key :
       {"drift-features/d-1/v=1.safetensors", "drift-features/d-1/v=1.7.safetensors",
        "drift/d-1/k/20261120/v=1/rows.csv", "drift-features/d-1/v=2.safetensors",
        "drift-features/d-2/v=1.safetensors", "drift/d-1/k/20261120/v=2/rows.csv"}) {
    Put(key, "x", hours(5));
  }
  EXPECT_EQ(Run(), (Problems{"orphan drift-features/d-1/v=2.safetensors",
                             "orphan drift-features/d-2/v=1.safetensors",
                             "orphan drift/d-1/k/20261120/v=2/rows.csv"}));
}

TEST_F(FsckTest, LooksForPicturesAndFeaturesOfSamples) {
  Execute(
      "INSERT INTO drift_samples (device_id, sample_id, event_id, sample_index, prediction, "
      "confidence, reason, neighbours, media, object_key, feature) "
      "VALUES ('d-1', 's:1', 'v', 1, 'a', 0.5, '', '[]', 'image', "
      "'drift/d-1/k/20261120/v/1.jpg', 'drift-features/d-1/v.safetensors#0')");
  EXPECT_EQ(Run(), (Problems{"missing drift-features/d-1/v.safetensors",
                             "missing drift/d-1/k/20261120/v/1.jpg"}));
  Put("drift/d-1/k/20261120/v/1.jpg", "x", hours(5));
  Put("drift-features/d-1/v.safetensors", "x", hours(5));
  EXPECT_EQ(Run(), Problems{});
}

TEST_F(FsckTest, GoesThroughMoreThanAPage) {
  disk_.SetTime(clock_.Now() - hours(5));
  Execute(
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) "
      "INSERT INTO drift_samples (device_id, sample_id, event_id, sample_index, prediction, "
      "confidence, reason, neighbours, media, object_key) SELECT 'd-1', i, 'v', 1, 'a', 0.5, "
      "'', '[]', 'image', 'drift-samples/d-1/' || i FROM n");
  for (int i = 1; i <= 1100; ++i) {
    if (i == 700) continue;
    ASSERT_TRUE(objects_->PutBytes(base::StrCat("drift-samples/d-1/", i), {}).ok());
  }
  EXPECT_EQ(Run(), Problems{"missing drift-samples/d-1/700"});
  EXPECT_EQ(counts_.objects, 1099u);
  EXPECT_EQ(counts_.rows, 1100u);
}

}  // namespace
}  // namespace tinysphere::upkeep
