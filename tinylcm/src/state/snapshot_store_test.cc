#include "tinylcm/state/snapshot_store.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace tinylcm::state {
namespace {

using base::Bytes;
using base::ErrorCode;
using base::ToBytes;
using tests::FakeFileSystem;

const base::Time kNow = tests::FakeClock::kStart;

class SnapshotStoreTest : public testing::Test {
 protected:
  SnapshotStore Open(const SnapshotStore::Options& options = {}) {
    return SnapshotStore::Open(fs_, "snapshots", options).value();
  }
  FakeFileSystem fs_;
};

TEST_F(SnapshotStoreTest, GivesBackExactlyTheBytesThatWereSaved) {
  const Blobs blobs = {{"adaptation", {0, 1, 255, 0}}, {"drift", ToBytes("state")}, {"empty", {}}};
  const std::string id = Open().Save(kNow, "before feedback f-1", blobs).value();
  fs_.Crash();
  const SnapshotStore store = Open();
  EXPECT_EQ(store.Load(id).value(), blobs);

  const SnapshotInfo info = store.Show(id).value();
  EXPECT_EQ(info.id, "s-00000001");
  EXPECT_EQ(info.created, kNow);
  EXPECT_EQ(info.reason, "before feedback f-1");
  ASSERT_EQ(info.blobs.size(), 3u);
  EXPECT_EQ(info.blobs[0].name, "adaptation");
  EXPECT_EQ(info.blobs[0].bytes, 4u);
}

TEST_F(SnapshotStoreTest, RefusesEveryFlippedBitAndNamesTheBlob) {
  SnapshotStore store = Open();
  const std::string id =
      store.Save(kNow, "r", {{"a", ToBytes("AAAA")}, {"b", ToBytes("BBBB")}}).value();
  const std::string path = "snapshots/" + id + ".tls";
  const std::uint64_t size = fs_.Stat(path).value().bytes;
  for (std::uint64_t byte = 0; byte < size; ++byte) {
    fs_.FlipBit(path, byte, static_cast<int>(byte % 8));
    const base::Result<Blobs> blobs = store.Load(id);
    ASSERT_FALSE(blobs.ok()) << "byte " << byte;
    // The last eight bytes are the blobs, four each.
    if (byte >= size - 4) {
      EXPECT_EQ(blobs.error().message, "snapshot s-00000001: blob b: sha256 differs");
    } else if (byte >= size - 8) {
      EXPECT_EQ(blobs.error().message, "snapshot s-00000001: blob a: sha256 differs");
    }
    fs_.FlipBit(path, byte, static_cast<int>(byte % 8));
  }
  EXPECT_TRUE(store.Load(id).ok());
}

TEST_F(SnapshotStoreTest, ListsTheOthersBesideADamagedOne) {
  SnapshotStore store = Open();
  for (const char* reason : {"one", "two", "three"}) {
    ASSERT_TRUE(store.Save(kNow, reason, {{"x", ToBytes(reason)}}).ok());
  }
  fs_.FlipBit("snapshots/s-00000002.tls", 5, 0);
  const SnapshotStore::Listing listing = store.List().value();
  ASSERT_EQ(listing.snapshots.size(), 2u);
  EXPECT_EQ(listing.snapshots[0].reason, "one");
  EXPECT_EQ(listing.snapshots[1].reason, "three");
  ASSERT_EQ(listing.damaged.size(), 1u);
  EXPECT_NE(listing.damaged[0].find("s-00000002"), std::string::npos);
}

TEST_F(SnapshotStoreTest, KeepsTheNewestWithinItsCount) {
  SnapshotStore store = Open({.snapshots_max = 2});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(store.Save(kNow, "r", {{"x", Bytes(10)}}).ok());
  const SnapshotStore::Listing listing = store.List().value();
  ASSERT_EQ(listing.snapshots.size(), 2u);
  EXPECT_EQ(listing.snapshots[0].id, "s-00000003");
  EXPECT_EQ(listing.snapshots[1].id, "s-00000004");
}

TEST_F(SnapshotStoreTest, KeepsWithinItsBytesButAlwaysTheNewest) {
  SnapshotStore store = Open({.bytes_max = 2500});  // Two of 1000 and their headers, not three.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store.Save(kNow, "r", {{"x", Bytes(1000)}}).ok());
  EXPECT_EQ(store.List().value().snapshots.size(), 2u);
  const std::string large = store.Save(kNow, "r", {{"x", Bytes(5000)}}).value();
  ASSERT_EQ(store.List().value().snapshots.size(), 1u);
  EXPECT_EQ(store.List().value().snapshots[0].id, large);
}

TEST_F(SnapshotStoreTest, NeverGivesAnIdTwice) {
  std::string last;
  {
    SnapshotStore store = Open({.snapshots_max = 1});
    ASSERT_TRUE(store.Save(kNow, "r", {}).ok());
    last = store.Save(kNow, "r", {}).value();
  }
  SnapshotStore store = Open({.snapshots_max = 1});
  EXPECT_GT(store.Save(kNow, "r", {}).value(), last);
}

TEST_F(SnapshotStoreTest, SaysWhatDiffersBetweenTwo) {
  SnapshotStore store = Open();
  const std::string before =
      store.Save(kNow, "r", {{"gone", Bytes(3)}, {"kept", Bytes(2)}, {"x", ToBytes("abcdef")}})
          .value();
  const std::string after =
      store.Save(kNow, "r", {{"kept", Bytes(2)}, {"new", Bytes(1)}, {"x", ToBytes("abXdefg")}})
          .value();
  const std::vector<BlobDifference> expected = {
      {BlobDifference::Kind::kRemoved, "gone", 3, 0, 0},
      {BlobDifference::Kind::kAdded, "new", 0, 1, 0},
      {BlobDifference::Kind::kChanged, "x", 6, 7, 2},
  };
  EXPECT_EQ(store.Diff(before, after).value(), expected);
  EXPECT_TRUE(store.Diff(before, before).value().empty());
}

TEST_F(SnapshotStoreTest, NamesWhatItDoesNotHave) {
  const SnapshotStore store = Open();
  for (const char* id : {"s-00000007", "../secrets", ""}) {
    const base::Result<Blobs> blobs = store.Load(id);
    ASSERT_FALSE(blobs.ok()) << id;
    EXPECT_EQ(blobs.error().code, ErrorCode::kNotFound) << id;
  }
}

// After a crash at any operation a snapshot is there whole or not at all.
TEST_F(SnapshotStoreTest, SurvivesACrashAtEveryOperation) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    bool reached = true;
    for (int n = 0; reached; ++n) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", power off at " << n);
      FakeFileSystem fs;
      fs.PowerOffAt(n);
      std::vector<std::string> saved;
      base::Result<SnapshotStore> store = SnapshotStore::Open(fs, "s", {.snapshots_max = 3});
      for (int i = 0; store.ok() && i < 3; ++i) {
        const base::Result<std::string> id = store->Save(kNow, "r", {{"x", Bytes(50)}});
        if (!id.ok()) break;
        saved.push_back(*id);
      }
      reached = fs.power_is_off();
      fs.Crash(seed);
      const SnapshotStore after = SnapshotStore::Open(fs, "s", {.snapshots_max = 3}).value();
      EXPECT_TRUE(after.List().value().damaged.empty());
      for (const std::string& id : saved) EXPECT_EQ(after.Load(id).value().at("x"), Bytes(50));
    }
  }
}

}  // namespace
}  // namespace tinylcm::state
