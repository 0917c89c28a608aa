// Small contents in large files: what is kept is there, alone, and gone when it is deleted.

#include "tinysphere/store/packed_objects.h"

#include <gtest/gtest.h>

#include <filesystem>
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
  // Some 220 kB, 100 kB a pack.
  const auto packs = std::distance(std::filesystem::directory_iterator(root_ / "packs"),
                                   std::filesystem::directory_iterator());
  EXPECT_GE(packs, 2);
}

// Pulls the plug before each changing operation in turn: a key that was given must lead to the
// whole content, and what was torn must not hide what came after it.
TEST(PackedObjects, KeepWhatTheyPromisedWhereverThePowerGoes) {
  int promised = 0;
  for (int n = 0;; ++n) {
    SCOPED_TRACE(n);
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
        const auto kept = (*store)->Keep(base::StrCat("packages/d/e/", i), AsBytes("evidence"));
        if (kept.ok()) keys.push_back(*kept);
      }
    }
    const bool reached = disk.power_is_off();
    disk.Crash(/*seed=*/static_cast<std::uint64_t>(n));
    auto store = open();
    ASSERT_TRUE(store.ok()) << store.error().message;
    const auto later = (*store)->Keep("packages/d/e/later", AsBytes("evidence"));
    ASSERT_TRUE(later.ok()) << later.error().message;
    keys.push_back(*later);
    promised += static_cast<int>(keys.size());
    for (const std::string& key : keys) {
      const auto got = (*store)->GetBytes(key, 100);
      ASSERT_TRUE(got.ok()) << got.error().message;
      EXPECT_EQ(base::AsText(*got), "evidence");
    }
    const auto listed = (*store)->List("packages/", "", 100).value();
    for (const std::string& key : keys) {
      EXPECT_TRUE(std::any_of(listed.begin(), listed.end(), [&](const ObjectInfo& info) {
        return info.key == key;
      })) << key;
    }
    if (!reached) break;
    ASSERT_LT(n, 1000);
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
