// Small contents in large files: what is kept is there, alone, and gone when it is deleted.

#include "tinysphere/store/packed_objects.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/crypto.h"
#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinysphere/platform/folder/folder_object_store.h"
#include "tinysphere/platform/posix/erase_range.h"

namespace tinysphere::store {
namespace {

using base::AsBytes;
using base::ErrorCode;

// A disk that counts how often a file was opened.
class CountingFileSystem final : public base::FileSystem {
 public:
  base::Result<std::unique_ptr<base::WritableFile>> Create(const std::string& path, Mode mode,
                                                           bool owner_only) override {
    return disk.Create(path, mode, owner_only);
  }
  base::Result<std::unique_ptr<base::ReadableFile>> Open(const std::string& path) override {
    opened += 1;
    return disk.Open(path);
  }
  base::Status Rename(const std::string& from, const std::string& to) override {
    return disk.Rename(from, to);
  }
  base::Status Remove(const std::string& path) override { return disk.Remove(path); }
  base::Status CreateDirectories(const std::string& path) override {
    return disk.CreateDirectories(path);
  }
  base::Status SyncDirectory(const std::string& path) override { return disk.SyncDirectory(path); }
  base::Result<std::vector<base::FileInfo>> List(const std::string& path) override {
    return disk.List(path);
  }
  base::Result<base::FileInfo> Stat(const std::string& path) override { return disk.Stat(path); }
  base::Result<std::uint64_t> FreeBytes(const std::string& path) override {
    return disk.FreeBytes(path);
  }

  tests::FakeFileSystem disk;
  int opened = 0;
};

class PackedObjectsOnDisk : public testing::Test {
 protected:
  PackedObjectsOnDisk()
      : root_(std::filesystem::temp_directory_path() / ("packs-" + base::RandomHex(8))) {
    std::filesystem::create_directories(root_);
    Open();
  }
  ~PackedObjectsOnDisk() override { std::filesystem::remove_all(root_); }

  void Open() {
    auto folder = folder::OpenObjectStore(base::SystemFileSystem(),
                                          {.root = root_.string(), .free_bytes_min = 0})
                      .value();
    PackOptions options;
    options.folder = (root_ / "packs").string();
    options.content_max = 10'000;
    options.pack_bytes = 100'000;
    options.free_bytes_min = 0;
    store_ =
        PackObjects(std::move(folder), base::SystemFileSystem(), clock_, posix::EraseRange, options)
            .value();
  }
  std::string Keep(const std::string& key, std::string_view text) {
    const auto kept = store_->Keep(key, AsBytes(text));
    EXPECT_TRUE(kept.ok()) << kept.error().message;
    return kept.ok() ? *kept : "";
  }
  std::string Get(const std::string& key) {
    const auto got = store_->GetBytes(key, 1u << 20);
    return got.ok() ? std::string(base::AsText(*got)) : "<" + got.error().message + ">";
  }
  std::vector<std::string> Keys(const std::string& prefix) {
    std::vector<std::string> keys;
    const auto listed = store_->List(prefix, "", 1000);
    EXPECT_TRUE(listed.ok());
    if (!listed.ok()) return keys;
    for (const ObjectInfo& info : *listed) keys.push_back(info.key);
    return keys;
  }
  std::size_t PackCount() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(root_ / "packs"),
                      std::filesystem::directory_iterator()));
  }
  // All bytes of all packs.
  std::string Packs() {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(root_ / "packs")) {
      all += base::ReadTextFile(base::SystemFileSystem(), entry.path().string(), 1u << 24).value();
    }
    return all;
  }

  std::filesystem::path root_;
  tests::FakeClock clock_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(PackedObjectsOnDisk, KeepUnderAKeyThatBeginsAsItWasAsked) {
  const std::string key = Keep("packages/d/e/42", "evidence");
  EXPECT_TRUE(key.starts_with("packages/d/e/42=")) << key;
  EXPECT_TRUE(CheckObjectKey(key).ok());
  EXPECT_EQ(Get(key), "evidence");
  EXPECT_TRUE(store_->Exists(key).value());
  EXPECT_FALSE(store_->Exists("packages/d/e/42").value());
  const std::string nothing = Keep("packages/d/e/43", "");
  EXPECT_EQ(Get(nothing), "");
}

TEST_F(PackedObjectsOnDisk, AreThereAfterARestart) {
  const std::string before = Keep("packages/d/e/1", "one");
  Open();
  const std::string after = Keep("packages/d/e/2", "two");
  EXPECT_EQ(Get(before), "one");
  EXPECT_EQ(Get(after), "two");
  EXPECT_EQ(Keys("packages/d/"), (std::vector<std::string>{before, after}));
}

TEST_F(PackedObjectsOnDisk, LeaveTheLargeAndOtherBucketsToTheFolder) {
  const std::string large(10'001, 'x');
  EXPECT_EQ(Keep("packages/d/e/1", large), "packages/d/e/1");
  EXPECT_EQ(Keep("bundles/sha256/1", "b"), "bundles/sha256/1");
  EXPECT_EQ(Get("packages/d/e/1"), large);
  EXPECT_EQ(Get("bundles/sha256/1"), "b");
  const std::string small = Keep("packages/d/e/0", "s");
  EXPECT_EQ(Keys("packages/"), (std::vector<std::string>{small, "packages/d/e/1"}));
  EXPECT_EQ(Keys("bundles/"), (std::vector<std::string>{"bundles/sha256/1"}));
}

TEST_F(PackedObjectsOnDisk, AreErasedFromTheDiskAndTheirNeighboursStay) {
  const std::string one = Keep("packages/d/e/1", "first content");
  const std::string two = Keep("packages/d/e/2", "a secret of the device");
  const std::string three = Keep("packages/d/e/3", "third content");
  ASSERT_NE(Packs().find("a secret of the device"), std::string::npos);
  ASSERT_TRUE(store_->Delete(two).ok());
  ASSERT_TRUE(store_->Delete(two).ok());  // Fine if it is not there.
  EXPECT_EQ(Packs().find("a secret of the device"), std::string::npos);
  EXPECT_FALSE(store_->Exists(two).value());
  EXPECT_EQ(store_->Get(two).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Get(one), "first content");
  EXPECT_EQ(Get(three), "third content");
  EXPECT_EQ(Keys("packages/"), (std::vector<std::string>{one, three}));
}

TEST_F(PackedObjectsOnDisk, TakeNoContentForARecord) {
  // A content made of the beginning of the pack as it is: a whole record, header and all.
  const std::string one = Keep("packages/d/e/1", std::string(512, 'x'));
  const std::string two = Keep("packages/d/e/2", Packs());
  EXPECT_EQ(Keys("packages/"), (std::vector<std::string>{one, two}));
  ASSERT_TRUE(store_->Delete(two).ok());
  EXPECT_EQ(Keys("packages/"), (std::vector<std::string>{one}));
}

TEST_F(PackedObjectsOnDisk, SayNothingOfWhatAKeyMakesUp) {
  const std::string key = Keep("packages/d/e/1", "one");
  const std::string place = key.substr(key.find('='));
  EXPECT_FALSE(store_->Get("packages/other/e/1" + place).ok());
  EXPECT_FALSE(store_->Get("packages/d/e/1=0123456789abcdef.0.3").ok());
  EXPECT_FALSE(store_->Get("packages/d/e/1=../../../etc.0.3").ok());
  EXPECT_FALSE(store_->Get(key + "0").ok());
}

TEST_F(PackedObjectsOnDisk, ArePagedInTheOrderOfKeys) {
  for (int i = 9; i >= 0; --i) Keep(base::StrCat("packages/d/e/", i), base::StrCat("content ", i));
  std::vector<std::string> read;
  std::string after;
  for (;;) {
    const auto page = store_->List("packages/", after, 3).value();
    if (page.empty()) break;
    for (const ObjectInfo& info : page) read.push_back(Get(info.key));
    after = page.back().key;
  }
  ASSERT_EQ(read.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(read[i], base::StrCat("content ", i));
}

TEST_F(PackedObjectsOnDisk, KeepWhatManyThreadsBringInSeveralPacks) {
  constexpr int kThreads = 8;
  constexpr int kEach = 20;
  std::vector<std::vector<std::string>> keys(kThreads);
  const auto text = [](int thread, int i) {
    return std::string(static_cast<std::size_t>(1000 + 37 * i), static_cast<char>('a' + thread));
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        keys[static_cast<std::size_t>(t)].push_back(
            Keep(base::StrCat("packages/d", t, "/e/", i), text(t, i)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kEach; ++i) {
      EXPECT_EQ(Get(keys[static_cast<std::size_t>(t)][static_cast<std::size_t>(i)]), text(t, i));
    }
  }
  EXPECT_EQ(Keys("packages/").size(), static_cast<std::size_t>(kThreads * kEach));
  EXPECT_GE(PackCount(), 2u);  // Some 220 kB, 100 kB a pack.
}

// An export, or a check, is another process: it lists while the server is in the middle of a write,
// after any byte of it.
TEST_F(PackedObjectsOnDisk, NameNothingThatIsNotThereToTheLastByte) {
  const std::string one = Keep("packages/d/e/1", std::string(700, 'a'));
  const std::string two = Keep("packages/d/e/2", std::string(300, 'b'));
  const std::string whole = Packs();
  ASSERT_EQ(whole.size(), 512u + 1024 + 512 + 300);
  const std::filesystem::path pack = std::filesystem::directory_iterator(root_ / "packs")->path();
  std::filesystem::resize_file(pack, 0);
  Open();
  std::ofstream growing(pack, std::ios::binary | std::ios::app);
  for (std::size_t size = 1; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    growing.put(whole[size - 1]).flush();
    std::vector<std::string> there;
    if (size >= 512 + 700) there.push_back(one);
    if (size >= whole.size()) there.push_back(two);
    ASSERT_EQ(Keys("packages/"), there);
    ASSERT_EQ(store_->Exists(one).value(), size >= 512 + 700);
    ASSERT_EQ(store_->Exists(two).value(), size >= whole.size());
  }
  EXPECT_EQ(Get(one), std::string(700, 'a'));
  EXPECT_EQ(Get(two), std::string(300, 'b'));
}

// A listing that goes on takes what is kept meanwhile, and no longer names what is deleted.
TEST_F(PackedObjectsOnDisk, AreListedAsTheyComeAndGo) {
  const std::string a = Keep("packages/d/e/a", "a");
  const std::string c = Keep("packages/d/e/c", "c");
  const std::string e = Keep("packages/d/e/e", "e");
  EXPECT_EQ(store_->List("packages/", "", 1).value().front().key, a);
  const std::string b = Keep("packages/d/e/b", "b");
  ASSERT_TRUE(store_->Delete(c).ok());
  const auto rest = store_->List("packages/", a, 10).value();
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].key, b);
  EXPECT_EQ(rest[1].key, e);
  const std::string f = Keep("packages/d/e/f", "f");
  EXPECT_EQ(store_->List("packages/", e, 10).value().front().key, f);
  EXPECT_EQ(store_->List("packages/", a, 10).value().size(), 3u);  // Back again.
}

TEST_F(PackedObjectsOnDisk, LeaveNoPackBehindThatHoldsNothing) {
  const std::string one = Keep("packages/d/e/1", "one");
  const std::string two = Keep("packages/d/e/2", "two");
  Open();  // Begins another.
  const std::string three = Keep("packages/d/e/3", "three");
  ASSERT_EQ(PackCount(), 2u);
  ASSERT_TRUE(store_->Delete(one).ok());
  // The packs' times are the machine's.
  const base::Time now =
      std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now());
  clock_.JumpTo(now + std::chrono::hours(24 * 3));
  EXPECT_EQ(Keys("packages/"), (std::vector<std::string>{two, three}));
  EXPECT_EQ(PackCount(), 2u);
  ASSERT_TRUE(store_->Delete(two).ok());
  clock_.JumpTo(now + std::chrono::hours(24));  // Somebody may still be writing to it.
  EXPECT_EQ(Keys("packages/"), (std::vector<std::string>{three}));
  EXPECT_EQ(PackCount(), 2u);
  clock_.JumpTo(now + std::chrono::hours(24 * 3));
  EXPECT_EQ(Keys("packages/"), (std::vector<std::string>{three}));
  EXPECT_EQ(PackCount(), 1u);
  EXPECT_EQ(Get(three), "three");
}

TEST_F(PackedObjectsOnDisk, BeginAnotherPackAfterADayOfNothing) {
  Keep("packages/d/e/1", "one");
  clock_.Advance(std::chrono::hours(24));
  Keep("packages/d/e/2", "two");
  EXPECT_EQ(PackCount(), 1u);
  clock_.Advance(std::chrono::hours(25));
  Keep("packages/d/e/3", "three");
  EXPECT_EQ(PackCount(), 2u);
  EXPECT_EQ(Keys("packages/").size(), 3u);
}

// 400 records in packs of some 20, in pages of 10, of which 100 are read ahead: every pack is
// opened for each 100 records, not for each page.
TEST(PackedObjects, AreReadOnceForManyPages) {
  CountingFileSystem fs;
  tests::FakeClock clock;
  ASSERT_TRUE(fs.CreateDirectories("/data").ok());
  auto folder = folder::OpenObjectStore(fs, {.root = "/data", .free_bytes_min = 0}).value();
  PackOptions options;
  options.folder = "/data/packs";
  options.pack_bytes = 20 * 1024;
  options.free_bytes_min = 0;
  options.listed_ahead = 100;
  const auto store =
      PackObjects(
          std::move(folder), fs, clock,
          [](const std::string&, std::uint64_t, std::uint64_t) -> base::Status { return {}; },
          options)
          .value();
  std::vector<std::string> kept;
  for (int i = 0; i < 400; ++i) {
    // In another order than that of the keys: 7 and 400 have no common divisor.
    const auto key =
        store->Keep(base::StrCat("packages/d/e/", 1000 + i * 7 % 400), AsBytes("evidence"));
    ASSERT_TRUE(key.ok());
    kept.push_back(*key);
  }
  std::sort(kept.begin(), kept.end());
  const auto packs = static_cast<int>(fs.List("/data/packs").value().size());
  ASSERT_GE(packs, 20);
  fs.opened = 0;
  std::vector<std::string> walked;
  std::string after;
  for (;;) {
    const auto page = store->List("packages/", after, 10).value();
    if (page.empty()) break;
    for (const ObjectInfo& info : page) walked.push_back(info.key);
    after = page.back().key;
  }
  EXPECT_EQ(walked, kept);
  EXPECT_EQ(fs.opened, packs * 4);
}

// Pulls the plug before each changing operation in turn: a key that was given must lead to the
// whole content, and what was torn must not hide what came after it.
TEST(PackedObjects, KeepWhatTheyPromisedWhereverThePowerGoes) {
  const std::string evidence(2000, 'e');  // So that many a crash leaves a part of it.
  int promised = 0;
  for (int run = 0;; ++run) {
    const int n = run / 10;  // Ten ways to lose what was not synced, each time.
    SCOPED_TRACE(base::StrCat("operation ", n, ", seed ", run));
    tests::FakeFileSystem disk;
    tests::FakeClock clock;
    ASSERT_TRUE(disk.CreateDirectories("/data").ok());
    ASSERT_TRUE(disk.SyncDirectory("/").ok());
    const auto open = [&]() -> base::Result<std::unique_ptr<ObjectStore>> {
      ASSIGN_OR_RETURN(auto folder,
                       folder::OpenObjectStore(disk, {.root = "/data", .free_bytes_min = 0}));
      PackOptions options;
      options.folder = "/data/packs";
      options.free_bytes_min = 0;
      return PackObjects(
          std::move(folder), disk, clock,
          [](const std::string&, std::uint64_t, std::uint64_t) -> base::Status { return {}; },
          options);
    };
    disk.PowerOffAt(disk.operations() + n);
    std::vector<std::string> keys;
    {
      auto store = open();
      for (int i = 0; store.ok() && i < 3; ++i) {
        const auto kept = (*store)->Keep(base::StrCat("packages/d/e/", i), AsBytes(evidence));
        if (kept.ok()) keys.push_back(*kept);
      }
    }
    const bool reached = disk.power_is_off();
    disk.Crash(/*seed=*/static_cast<std::uint64_t>(run));
    auto store = open();
    ASSERT_TRUE(store.ok()) << store.error().message;
    const auto later = (*store)->Keep("packages/d/e/later", AsBytes(evidence));
    ASSERT_TRUE(later.ok()) << later.error().message;
    keys.push_back(*later);
    promised += static_cast<int>(keys.size());
    for (const std::string& key : keys) {
      const auto got = (*store)->GetBytes(key, 10'000);
      ASSERT_TRUE(got.ok()) << got.error().message;
      EXPECT_EQ(base::AsText(*got), evidence);
    }
    const auto listed = (*store)->List("packages/", "", 100).value();
    for (const ObjectInfo& info : listed) {
      const auto got = (*store)->GetBytes(info.key, 10'000);
      ASSERT_TRUE(got.ok()) << got.error().message;
      EXPECT_EQ(got->size(), info.bytes) << info.key;
    }
    for (const std::string& key : keys) {
      EXPECT_TRUE(std::any_of(listed.begin(), listed.end(), [&](const ObjectInfo& info) {
        return info.key == key;
      })) << key;
    }
    if (!reached) break;
    ASSERT_LT(run, 10'000);
  }
  EXPECT_GE(promised, 4);
}

TEST(PackedObjects, AcceptNothingWhenTheDiskIsFullAndGoOnWhenThereIsRoomAgain) {
  tests::FakeFileSystem disk;
  tests::FakeClock clock;
  ASSERT_TRUE(disk.CreateDirectories("/data").ok());
  auto folder = folder::OpenObjectStore(disk, {.root = "/data", .free_bytes_min = 0}).value();
  PackOptions options;
  options.folder = "/data/packs";
  options.free_bytes_min = 0;
  const auto store =
      PackObjects(
          std::move(folder), disk, clock,
          [](const std::string&, std::uint64_t, std::uint64_t) -> base::Status { return {}; },
          options)
          .value();
  disk.SetCapacity(1500);
  ASSERT_TRUE(store->Keep("packages/d/e/1", base::Bytes(400)).ok());  // 512 + 400.
  const auto full = store->Keep("packages/d/e/2", base::Bytes(400));  // 112 + 512 + 400 more.
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, ErrorCode::kExhausted);
  disk.SetCapacity(100'000);
  const auto again = store->Keep("packages/d/e/2", base::Bytes(400));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(store->GetBytes(*again, 1000).value(), base::Bytes(400));
  EXPECT_EQ(store->List("packages/", "", 10).value().size(), 2u);
}

}  // namespace
}  // namespace tinysphere::store
