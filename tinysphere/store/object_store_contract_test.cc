// What every ObjectStore promises. A new one joins by one line in the INSTANTIATE below.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/crypto.h"
#include "base/file_system.h"
#include "tests/support/fake_file_system.h"
#include "tinysphere/platform/folder/folder_object_store.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::store {
namespace {

using base::AsBytes;
using base::ErrorCode;

// A store with the disk it spools to.
struct Stand {
  virtual ~Stand() = default;
  base::FileSystem* fs = nullptr;
  std::string folder;
  std::unique_ptr<ObjectStore> store;
};

struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Stand>()> make;
};

class ObjectStoreContract : public testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    stand_ = GetParam().make();
    ASSERT_NE(stand_, nullptr);
  }
  void Put(const std::string& key, std::string_view text) {
    const base::Status put = stand_->store->PutBytes(key, AsBytes(text));
    ASSERT_TRUE(put.ok()) << put.error().message;
  }
  std::string Get(const std::string& key) {
    auto got = stand_->store->GetBytes(key, 1 << 20);
    return got.ok() ? std::string(base::AsText(got.value())) : got.error().message;
  }
  std::vector<std::string> List(const std::string& prefix, const std::string& after = "",
                                std::size_t limit = 100) {
    std::vector<std::string> keys;
    auto listed = stand_->store->List(prefix, after, limit);
    EXPECT_TRUE(listed.ok());
    for (const ObjectInfo& info : listed.value()) keys.push_back(info.key);
    return keys;
  }

  std::unique_ptr<Stand> stand_;
};

using Keys = std::vector<std::string>;

TEST_P(ObjectStoreContract, GivesBackWhatWasPut) {
  Put("packages/d-1/e1/1", "archive");
  EXPECT_EQ(Get("packages/d-1/e1/1"), "archive");
  EXPECT_TRUE(stand_->store->Exists("packages/d-1/e1/1").value());
}

TEST_P(ObjectStoreContract, TakesAContentInPieces) {
  auto writer = stand_->store->Put("bundles/a").value();
  ASSERT_TRUE(writer->Append(AsBytes("one ")).ok());
  ASSERT_TRUE(writer->Append(AsBytes("two")).ok());
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_EQ(Get("bundles/a"), "one two");
}

TEST_P(ObjectStoreContract, ShowsNothingBeforeCommit) {
  auto writer = stand_->store->Put("bundles/a").value();
  ASSERT_TRUE(writer->Append(AsBytes("one")).ok());
  EXPECT_FALSE(stand_->store->Exists("bundles/a").value());
  writer.reset();
  EXPECT_FALSE(stand_->store->Exists("bundles/a").value());
  EXPECT_EQ(List("bundles/"), Keys{});
}

TEST_P(ObjectStoreContract, ReplacesWhatLayThere) {
  Put("bundles/a", "old");
  Put("bundles/a", "new");
  EXPECT_EQ(Get("bundles/a"), "new");
}

TEST_P(ObjectStoreContract, KeepsAnEmptyContent) {
  Put("bundles/empty", "");
  EXPECT_TRUE(stand_->store->Exists("bundles/empty").value());
  EXPECT_EQ(Get("bundles/empty"), "");
}

TEST_P(ObjectStoreContract, ReadsARange) {
  Put("bundles/a", "0123456789");
  auto file = stand_->store->Get("bundles/a").value();
  EXPECT_EQ(file->size(), 10u);
  std::array<std::uint8_t, 4> four{};
  EXPECT_EQ(file->ReadAt(3, four).value(), 4u);
  EXPECT_EQ(base::AsText(four), "3456");
  EXPECT_EQ(file->ReadAt(8, four).value(), 2u);
  EXPECT_EQ(file->ReadAt(10, four).value(), 0u);
}

TEST_P(ObjectStoreContract, SaysWhatIsNotThere) {
  const auto got = stand_->store->Get("bundles/a");
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(stand_->store->Exists("bundles/a").value());
  EXPECT_FALSE(stand_->store->Exists("bundles").ok());  // A bucket alone is no key.
}

TEST_P(ObjectStoreContract, DeletesAndDoesNotMindTwice) {
  Put("bundles/a", "x");
  EXPECT_TRUE(stand_->store->Delete("bundles/a").ok());
  EXPECT_FALSE(stand_->store->Exists("bundles/a").value());
  EXPECT_TRUE(stand_->store->Delete("bundles/a").ok());
}

TEST_P(ObjectStoreContract, AdoptsASpooledFile) {
  const std::string path = stand_->folder + "/spooled";
  ASSERT_TRUE(base::WriteFileDurably(*stand_->fs, path, AsBytes("spooled body")).ok());
  const base::Status adopted = stand_->store->Adopt("packages/d/e/7", path);
  ASSERT_TRUE(adopted.ok()) << adopted.error().message;
  EXPECT_EQ(Get("packages/d/e/7"), "spooled body");
  EXPECT_FALSE(base::Exists(*stand_->fs, path));
}

TEST_P(ObjectStoreContract, AdoptsNothingWhereThereIsNoFile) {
  const base::Status adopted = stand_->store->Adopt("packages/d/e/7", stand_->folder + "/none");
  ASSERT_FALSE(adopted.ok());
  EXPECT_EQ(adopted.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(stand_->store->Exists("packages/d/e/7").value());
}

TEST_P(ObjectStoreContract, ListsByPrefixInKeyOrderAndInPages) {
  // '-' sorts before '/', so the folder "d" must not come before the file "d-1".
  Put("packages/d/2", "x");
  Put("packages/d-1", "x");
  Put("packages/d/10", "x");
  Put("bundles/b", "x");
  EXPECT_EQ(List("packages/"), (Keys{"packages/d-1", "packages/d/10", "packages/d/2"}));
  EXPECT_EQ(List("packages/d/"), (Keys{"packages/d/10", "packages/d/2"}));
  EXPECT_EQ(List("packages/d/1"), (Keys{"packages/d/10"}));
  EXPECT_EQ(List(""), (Keys{"bundles/b", "packages/d-1", "packages/d/10", "packages/d/2"}));
  EXPECT_EQ(List("packages/", "", 1), (Keys{"packages/d-1"}));
  EXPECT_EQ(List("packages/", "packages/d-1", 1), (Keys{"packages/d/10"}));
  EXPECT_EQ(List("nothing/"), Keys{});
}

TEST_P(ObjectStoreContract, RefusesKeysThatLeadElsewhere) {
  for (const char* key :
       {"", "bundles", "/etc/passwd", "bundles/../../x", "bundles//x", "bundles/.", "bundles/a b",
        "bundles/a\\b", "bundles/", "bundles/\xc3\xa4"}) {
    const base::Status put = stand_->store->PutBytes(key, AsBytes("x"));
    ASSERT_FALSE(put.ok()) << key;
    EXPECT_EQ(put.error().code, ErrorCode::kInvalidArgument) << key;
    EXPECT_FALSE(stand_->store->Get(key).ok()) << key;
    EXPECT_FALSE(stand_->store->Delete(key).ok()) << key;
  }
}

TEST_P(ObjectStoreContract, RefusesToReadMoreThanAskedFor) {
  Put("bundles/a", "12345");
  EXPECT_TRUE(stand_->store->GetBytes("bundles/a", 5).ok());
  const auto got = stand_->store->GetBytes("bundles/a", 4);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::kExhausted);
}

TEST_P(ObjectStoreContract, IsWellWhenItCanBeWrittenTo) {
  EXPECT_TRUE(stand_->store->Check().ok());
}

struct FolderOnDisk : Stand {
  FolderOnDisk() {
    fs = &base::SystemFileSystem();
    folder = testing::TempDir() + "objects_" + base::RandomHex(6);
    std::filesystem::create_directories(folder);
    store = folder::OpenObjectStore(*fs, {.root = folder, .free_bytes_min = 0}).value();
  }
  ~FolderOnDisk() override { std::filesystem::remove_all(folder); }
};

struct FolderInMemory : Stand {
  FolderInMemory() {
    fs = &disk;
    folder = "/data";
    (void)disk.CreateDirectories(folder).ok();
    store = folder::OpenObjectStore(*fs, {.root = folder, .free_bytes_min = 0}).value();
  }
  tests::FakeFileSystem disk;
};

INSTANTIATE_TEST_SUITE_P(
    All, ObjectStoreContract,
    testing::Values(Implementation{"Folder", [] { return std::make_unique<FolderOnDisk>(); }},
                    Implementation{"FolderOnFakeDisk",
                                   [] { return std::make_unique<FolderInMemory>(); }}),
    [](const auto& parameter) { return parameter.param.name; });

// Pulls the plug before each changing operation in turn: whatever Put promised must be there,
// whole.
TEST(FolderObjectStore, KeepsWhatItPromisedWhereverThePowerGoes) {
  int promised_once = 0;
  for (int n = 0;; ++n) {
    SCOPED_TRACE(n);
    tests::FakeFileSystem disk;
    ASSERT_TRUE(disk.CreateDirectories("/data").ok());
    ASSERT_TRUE(disk.SyncDirectory("/").ok());
    disk.PowerOffAt(disk.operations() + n);
    bool is_promised = false;
    {
      auto store = folder::OpenObjectStore(disk, {.root = "/data", .free_bytes_min = 0});
      if (store.ok()) {
        is_promised = (*store)->PutBytes("packages/d/e/1", AsBytes("evidence")).ok();
      }
    }
    const bool reached = disk.power_is_off();
    disk.Crash();
    if (is_promised) {
      ++promised_once;
      auto store = folder::OpenObjectStore(disk, {.root = "/data", .free_bytes_min = 0}).value();
      const auto got = store->GetBytes("packages/d/e/1", 100);
      ASSERT_TRUE(got.ok()) << got.error().message;
      EXPECT_EQ(base::AsText(got.value()), "evidence");
    }
    if (!reached) break;
    ASSERT_LT(n, 1000);
  }
  EXPECT_GE(promised_once, 1);
}

TEST(FolderObjectStore, AcceptsNothingWhenTheDiskIsNearlyFull) {
  tests::FakeFileSystem disk;
  ASSERT_TRUE(disk.CreateDirectories("/data").ok());
  disk.SetCapacity(1000);
  auto store = folder::OpenObjectStore(disk, {.root = "/data", .free_bytes_min = 2000}).value();
  const base::Status put = store->PutBytes("packages/d/e/1", AsBytes("x"));
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.error().code, ErrorCode::kExhausted);
  EXPECT_FALSE(store->Check().ok());
}

TEST(FolderObjectStore, SweepsWhatAnEarlierProcessLeft) {
  tests::FakeFileSystem disk;
  disk.Write("/data/tmp/put-0", AsBytes("half"));
  auto store = folder::OpenObjectStore(disk, {.root = "/data", .free_bytes_min = 0}).value();
  EXPECT_FALSE(base::Exists(disk, "/data/tmp/put-0"));
}

}  // namespace
}  // namespace tinysphere::store
