#include "tinylcm/state/snapshot_store.h"

#include <gtest/gtest.h>

#include <set>

#include "base/crypto.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/src/state/wire.h"

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
  static std::string BlobPath(std::string_view content) {
    return "snapshots/blobs/" + base::Sha256Hex(ToBytes(content));
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
  const std::string paths[] = {"snapshots/" + id + ".tls", BlobPath("AAAA"), BlobPath("BBBB")};
  const std::string says[] = {
      "snapshot s-00000001: ", "snapshot s-00000001: blob a: sha256 differs",
      "snapshot s-00000001: blob b: sha256 differs"};
  for (std::size_t file = 0; file < 3; ++file) {
    const std::uint64_t size = fs_.Stat(paths[file]).value().bytes;
    for (std::uint64_t byte = 0; byte < size; ++byte) {
      fs_.FlipBit(paths[file], byte, static_cast<int>(byte % 8));
      const base::Result<Blobs> blobs = store.Load(id);
      ASSERT_FALSE(blobs.ok()) << paths[file] << " byte " << byte;
      EXPECT_TRUE(blobs.error().message.starts_with(says[file])) << blobs.error().message;
      fs_.FlipBit(paths[file], byte, static_cast<int>(byte % 8));
    }
  }
  EXPECT_TRUE(store.Load(id).ok());
  ASSERT_TRUE(fs_.Remove(paths[2]).ok());
  EXPECT_EQ(store.Load(id).error().message, "snapshot s-00000001: blob b: is not there");
}

TEST_F(SnapshotStoreTest, WhatTwoShareLiesThereOnceUntilNeitherNeedsIt) {
  SnapshotStore store = Open();
  const Bytes shared(1000, 7);
  const std::string one = store.Save(kNow, "r", {{"adaptation", shared}, {"n", {1}}}).value();
  const std::string two = store.Save(kNow, "r", {{"adaptation", shared}, {"n", {2}}}).value();
  EXPECT_EQ(fs_.List("snapshots/blobs")->size(), 3u);  // The shared one, {1} and {2}.
  const SnapshotStore::Listing listing = store.List().value();
  EXPECT_GT(listing.snapshots[0].bytes + listing.snapshots[1].bytes, 2000u);
  EXPECT_LT(listing.bytes, 1800u);  // Two headers of some 300 bytes.
  ASSERT_TRUE(store.Remove(one).ok());
  EXPECT_EQ(store.Load(two)->at("adaptation"), shared);
  EXPECT_EQ(fs_.List("snapshots/blobs")->size(), 2u);
  ASSERT_TRUE(store.Remove(two).ok());
  EXPECT_TRUE(fs_.List("snapshots/blobs")->empty());
}

TEST_F(SnapshotStoreTest, ABlobThatWasDamagedIsMendedByTheNextThatHoldsIt) {
  SnapshotStore store = Open();
  const std::string one = store.Save(kNow, "r", {{"x", ToBytes("content")}}).value();
  fs_.FlipBit(BlobPath("content"), 3, 1);
  ASSERT_FALSE(store.Load(one).ok());
  ASSERT_TRUE(store.Save(kNow, "r", {{"x", ToBytes("content")}}).ok());
  EXPECT_EQ(store.Load(one)->at("x"), ToBytes("content"));
}

// As it was written before blobs were shared, byte by byte.
TEST_F(SnapshotStoreTest, ReadsOneOfAnEarlierVersion) {
  const std::string header =
      "{\"format\": \"tinylcm-snapshot/1\", \"id\": \"s-00000003\", \"created\": "
      "\"2026-11-20T12:00:00.000Z\", \"reason\": \"old\", \"blobs\": [{\"name\": \"x\", \"bytes\": "
      "2, "
      "\"sha256\": \"" +
      base::Sha256Hex(ToBytes("hi")) + "\"}]}";
  WireWriter writer;
  writer.Raw(ToBytes("TLCS"));
  writer.U32(1);
  writer.Text(header);
  writer.U32(base::Crc32c(writer.bytes()));
  writer.Raw(ToBytes("hi"));
  fs_.Write("snapshots/s-00000003.tls", writer.bytes());
  SnapshotStore store = Open();
  EXPECT_EQ(store.Load("s-00000003")->at("x"), ToBytes("hi"));
  EXPECT_TRUE(store.Show("s-00000003")->is_proven);
  EXPECT_EQ(store.Save(kNow, "new", {{"x", ToBytes("hi")}}).value(), "s-00000004");
  EXPECT_TRUE(store.Diff("s-00000003", "s-00000004")->empty());
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

// A sheet of a newer agent is not read by this one, but it is no damaged one.
TEST_F(SnapshotStoreTest, KeepsTheBytesOfASheetThatOnlyANewerAgentReads) {
  SnapshotStore store = Open();
  const std::string id = store.Save(kNow, "newer", {{"x", ToBytes("kept")}}).value();
  const std::string sheet = "snapshots/" + id + ".tls";
  fs_.FlipBit(sheet, 4, 3);  // Version 2 is 10.
  ASSERT_EQ(store.Show(id).error().code, ErrorCode::kUnsupported);
  ASSERT_TRUE(store.Save(kNow, "after the downgrade", {{"x", ToBytes("other")}}).ok());
  fs_.FlipBit(sheet, 4, 3);
  EXPECT_EQ(store.Load(id)->at("x"), ToBytes("kept"));
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
  // Two of 1000 and their headers, not three; each of another content, or they would be one.
  SnapshotStore store = Open({.bytes_max = 2900});
  for (std::uint8_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(store.Save(kNow, "r", {{"x", Bytes(1000, i)}}).ok());
  }
  EXPECT_EQ(store.List().value().snapshots.size(), 2u);
  EXPECT_LE(store.List().value().bytes, 2900u);
  const std::string large = store.Save(kNow, "r", {{"x", Bytes(5000)}}).value();
  ASSERT_EQ(store.List().value().snapshots.size(), 1u);
  EXPECT_EQ(store.List().value().snapshots[0].id, large);
}

// Ten attempts on trial do not push out the last state that was proven.
TEST_F(SnapshotStoreTest, NeverDropsTheLastGoodOne) {
  SnapshotStore store = Open({.snapshots_max = 2});
  const auto save = [&](std::uint8_t content, bool is_proven) {
    return store.Save(kNow, "r", {{"x", Bytes(100, content)}}, is_proven).value();
  };
  save(1, true);
  const std::string good = save(2, true);
  for (std::uint8_t i = 0; i < 10; ++i) save(static_cast<std::uint8_t>(10 + i), false);
  SnapshotStore::Listing listing = store.List().value();
  ASSERT_EQ(listing.snapshots.size(), 2u);
  EXPECT_EQ(listing.snapshots[0].id, good);
  EXPECT_TRUE(store.Load(good).ok());
}

TEST_F(SnapshotStoreTest, ADamagedOneIsNoGoodOneTheOneBeforeItIs) {
  SnapshotStore store = Open({.snapshots_max = 2});
  const std::string good = store.Save(kNow, "r", {{"x", ToBytes("good")}}).value();
  ASSERT_TRUE(store.Save(kNow, "r", {{"x", ToBytes("damaged")}}).ok());
  fs_.FlipBit(BlobPath("damaged"), 2, 0);
  const std::string newest = store.Save(kNow, "r", {{"x", ToBytes("trial")}}, false).value();
  const SnapshotStore::Listing listing = store.List().value();
  ASSERT_EQ(listing.snapshots.size(), 2u);
  EXPECT_EQ(listing.snapshots[0].id, good);
  EXPECT_EQ(listing.snapshots[1].id, newest);
}

TEST_F(SnapshotStoreTest, OnAFullDiskNothingIsLeftBehindAndNothingIsLost) {
  SnapshotStore store = Open();
  const std::string kept = store.Save(kNow, "r", {{"x", Bytes(500, 1)}}).value();
  const auto files = [&] {
    std::string names;
    for (const char* folder : {"snapshots", "snapshots/blobs"}) {
      const std::vector<base::FileInfo> listed = fs_.List(folder).value();
      for (const base::FileInfo& file : listed) names += file.name + " ";
    }
    return names;
  };
  const std::string before = files();
  const std::uint64_t used = store.List()->bytes;
  // Full within the first blob, the second, the header; the last one fits.
  int refused = 0;
  for (std::uint64_t room = 0; room < 1500; room += 100) {
    fs_.SetCapacity(used + room);
    const auto saved =
        store.Save(kNow, "before mean", {{"x", Bytes(400, 2)}, {"y", Bytes(400, 3)}});
    if (saved.ok()) break;
    ++refused;
    EXPECT_EQ(saved.error().code, ErrorCode::kExhausted);
    EXPECT_TRUE(saved.error().message.starts_with("snapshot before mean: "))
        << saved.error().message;
    EXPECT_EQ(files(), before) << "room " << room;
    EXPECT_EQ(store.Load(kept)->at("x"), Bytes(500, 1));
  }
  EXPECT_GE(refused, 8);
  EXPECT_LE(refused, 13);
}

// `tinylcm state ls` beside an agent in the middle of a Save.
TEST_F(SnapshotStoreTest, ALookBesideTheOwnerTouchesNothing) {
  SnapshotStore store = Open();
  ASSERT_TRUE(store.Save(kNow, "r", {{"x", Bytes(10)}}).ok());
  fs_.Write("snapshots/s-00000002.tls.tmp", Bytes(3));
  const int operations = fs_.operations();
  EXPECT_EQ(SnapshotStore::ToRead(fs_, "snapshots").List()->snapshots.size(), 1u);
  EXPECT_EQ(SnapshotStore::ToRead(fs_, "nowhere").List().error().code, ErrorCode::kNotFound);
  EXPECT_EQ(fs_.operations(), operations);
  EXPECT_TRUE(base::Exists(fs_, "snapshots/s-00000002.tls.tmp"));
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

// After a crash at any operation a snapshot is there whole or not at all, and blobs that nobody
// names are gone after the next Save.
TEST_F(SnapshotStoreTest, SurvivesACrashAtEveryOperation) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    bool reached = true;
    for (int n = 0; reached; ++n) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", power off at " << n);
      FakeFileSystem fs;
      fs.PowerOffAt(n);
      const auto content = [](int i) { return Bytes(50, static_cast<std::uint8_t>(i / 2)); };
      std::vector<std::string> saved;
      base::Result<SnapshotStore> store = SnapshotStore::Open(fs, "s", {.snapshots_max = 3});
      for (int i = 0; store.ok() && i < 5; ++i) {
        const base::Result<std::string> id = store->Save(kNow, "r", {{"x", content(i)}});
        if (!id.ok()) break;
        saved.push_back(*id);
      }
      reached = fs.power_is_off();
      fs.Crash(seed);
      SnapshotStore after = SnapshotStore::Open(fs, "s", {.snapshots_max = 3}).value();
      const SnapshotStore::Listing listing = after.List().value();
      EXPECT_TRUE(listing.damaged.empty());
      for (const SnapshotInfo& info : listing.snapshots) EXPECT_TRUE(after.Load(info.id).ok());
      // The last three that were acknowledged, at least (the sixth may have pushed out one).
      for (std::size_t i = saved.size() > 2 ? saved.size() - 2 : 0; i < saved.size(); ++i) {
        EXPECT_EQ(after.Load(saved[i]).value().at("x"), content(static_cast<int>(i)));
      }
      ASSERT_TRUE(after.Save(kNow, "r", {{"x", {1, 2, 3}}}).ok());
      std::set<std::string> named;
      const SnapshotStore::Listing then = after.List().value();
      for (const SnapshotInfo& info : then.snapshots) named.insert(info.blobs.at(0).sha256);
      EXPECT_EQ(fs.List("s/blobs")->size(), named.size());
    }
  }
}

}  // namespace
}  // namespace tinylcm::state
