// What every ObjectStore promises. A new one joins by one line in the INSTANTIATE below.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/text.h"
#include "tests/support/fake_file_system.h"
#include "tinysphere/outbound/http_client.h"
#include "tinysphere/platform/folder/folder_object_store.h"
#include "tinysphere/platform/s3/client.h"
#include "tinysphere/platform/s3/fake_s3_test.h"
#include "tinysphere/platform/s3/s3_object_store.h"
#include "tinysphere/store/buckets.h"
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
  bool checks_urls = true;  // Whether presigned URLs lead to something that honours them.
  std::unique_ptr<ObjectStore> store;
};

struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Stand>()> make;
  std::string needs = "";  // The environment variable without which it is skipped.
};

class ObjectStoreContract : public testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    if (!GetParam().needs.empty() && std::getenv(GetParam().needs.c_str()) == nullptr) {
      GTEST_SKIP() << GetParam().needs << " is not set: ./test.sh --services starts what it names";
    }
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

TEST_P(ObjectStoreContract, SaysHowLargeAndHowOldEachIs) {
  const base::Time before = base::SystemClock().Now();
  Put("bundles/a", "12345");
  const auto listed = stand_->store->List("bundles/", "", 10).value();
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].bytes, 5u);
  if (stand_->folder == "/data") return;  // The disk in memory is told its time.
  // Whole seconds in some stores, and by a clock of their own.
  EXPECT_GE(listed[0].modified, before - std::chrono::minutes(1));
  EXPECT_LE(listed[0].modified, base::SystemClock().Now() + std::chrono::minutes(1));
}

TEST_P(ObjectStoreContract, KeepsEveryCharacterOfAKey) {
  const std::string key = "bundles/AZaz09._=-/a=b.c_d-e";
  Put(key, "x");
  EXPECT_EQ(Get(key), "x");
  EXPECT_EQ(List("bundles/"), Keys{key});
  EXPECT_TRUE(stand_->store->Delete(key).ok());
  EXPECT_FALSE(stand_->store->Exists(key).value());
}

TEST_P(ObjectStoreContract, KeepsALargeContent) {
  std::string large(18'000'001, ' ');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 + i / 251);
  const std::string path = stand_->folder + "/spooled";
  ASSERT_TRUE(base::WriteFileDurably(*stand_->fs, path, AsBytes(large)).ok());
  const base::Status adopted = stand_->store->Adopt("packages/d/e/7", path);
  ASSERT_TRUE(adopted.ok()) << adopted.error().message;
  const auto got = stand_->store->GetBytes("packages/d/e/7", 20'000'000);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_TRUE(base::AsText(*got) == large);
  const auto file = stand_->store->Get("packages/d/e/7").value();
  base::Bytes piece(5);
  ASSERT_EQ(file->ReadAt(17'999'998, piece).value(), 3u);
  EXPECT_EQ(base::AsText(base::ByteView(piece).first(3)), large.substr(17'999'998));
}

TEST_P(ObjectStoreContract, DeletesManyAtOnce) {
  for (const char* key : {"bundles/a", "bundles/b", "packages/d/1"}) Put(key, "x");
  const std::vector<std::string> keys = {"bundles/a", "packages/d/1", "bundles/none"};
  const base::Status deleted = stand_->store->DeleteAll(keys);
  ASSERT_TRUE(deleted.ok()) << deleted.error().message;
  EXPECT_EQ(List(""), Keys{"bundles/b"});
}

TEST_P(ObjectStoreContract, GivesUrlsThatNeedNoCredentialsOrNone) {
  Put("bundles/a", "for whoever holds the URL");
  const auto get = stand_->store->Presign("bundles/a", Presigned::kGet, std::chrono::minutes(5));
  const auto put = stand_->store->Presign("bundles/b=1", Presigned::kPut, std::chrono::minutes(5));
  ASSERT_TRUE(get.ok() && put.ok());
  ASSERT_EQ(get->has_value(), put->has_value());
  if (!get->has_value() || !stand_->checks_urls) return;
  const auto http = outbound::MakeHttpClient({}).value();
  const auto read = http->Do({.url = get->value()});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->status, 200);
  EXPECT_EQ(read->body, "for whoever holds the URL");
  const auto written =
      http->Do({.method = "PUT", .url = put->value(), .body = AsBytes("put by URL")});
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(written->status, 200) << written->body;
  EXPECT_EQ(Get("bundles/b=1"), "put by URL");
  // For that one thing only, and only as it was signed.
  EXPECT_EQ(http->Do({.method = "DELETE", .url = get->value()})->status, 403);
  EXPECT_EQ(http->Do({.url = get->value() + "0"})->status, 403);
  EXPECT_EQ(http->Do({.url = get->value().substr(0, get->value().find('?'))})->status, 403);
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

s3::Options S3Options(const s3::Location& location, const std::string& folder) {
  return {.location = location, .spool = folder + "/spool", .free_bytes_min = 0};
}

struct FakeS3Stand : Stand {
  FakeS3Stand() {
    fs = &disk;
    folder = "/data";
    checks_urls = false;
    (void)disk.CreateDirectories(folder).ok();
    store = s3::OpenObjectStore(*fs, base::SystemClock(), outbound::MakeHttpClient({}).value(),
                                S3Options(s3.location(), folder))
                .value();
  }
  s3::FakeS3 s3;
  tests::FakeFileSystem disk;
};

// A real store, as the environment names it: TINYSPHERE_TEST_<name>_ENDPOINT and so on. Buckets of
// its own, gone afterwards.
struct S3Stand : Stand {
  explicit S3Stand(const std::string& name) {
    const auto variable = [&](const char* what) -> std::string {
      const char* value = std::getenv(base::StrCat("TINYSPHERE_TEST_", name, "_", what).c_str());
      return value == nullptr ? "" : value;
    };
    fs = &base::SystemFileSystem();
    folder = testing::TempDir() + "objects_" + base::RandomHex(6);
    std::filesystem::create_directories(folder);
    location = s3::ParseLocation(base::StrCat("s3://contract-", base::RandomHex(6)),
                                 [&](const char* asked) -> std::string {
                                   const std::string_view key = asked;
                                   if (key == "AWS_ENDPOINT_URL") return variable("ENDPOINT");
                                   if (key == "AWS_ACCESS_KEY_ID") return variable("ACCESS_KEY");
                                   if (key == "AWS_SECRET_ACCESS_KEY")
                                     return variable("SECRET_KEY");
                                   return key == "AWS_REGION" ? variable("REGION") : "";
                                 })
                   .value();
    auto opened =
        s3::OpenObjectStore(*fs, base::SystemClock(), outbound::MakeHttpClient({}).value(),
                            S3Options(location, folder));
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    store = std::move(opened).value();
  }
  ~S3Stand() override {
    const auto http = outbound::MakeHttpClient({}).value();
    s3::Client client(location, *http, base::SystemClock());
    std::vector<std::string> keys;
    const auto listed = store->List("", "", 100'000);
    EXPECT_TRUE(listed.ok()) << listed.error().message;
    for (const ObjectInfo& info : listed.value()) keys.push_back(info.key);
    EXPECT_TRUE(store->DeleteAll(keys).ok());
    for (const Bucket& bucket : kBuckets) {
      const auto deleted = client.DoWell(
          {.method = "DELETE", .bucket = base::StrCat(location.bucket_prefix, "-", bucket.name)});
      EXPECT_TRUE(deleted.ok()) << deleted.error().message;
    }
    std::filesystem::remove_all(folder);
  }
  s3::Location location;
};

INSTANTIATE_TEST_SUITE_P(
    All, ObjectStoreContract,
    testing::Values(Implementation{"Folder", [] { return std::make_unique<FolderOnDisk>(); }},
                    Implementation{"FolderOnFakeDisk",
                                   [] { return std::make_unique<FolderInMemory>(); }},
                    Implementation{"FakeS3", [] { return std::make_unique<FakeS3Stand>(); }},
                    Implementation{"MinIO", [] { return std::make_unique<S3Stand>("S3"); },
                                   "TINYSPHERE_TEST_S3_ENDPOINT"},
                    Implementation{"Versity", [] { return std::make_unique<S3Stand>("VERSITY"); },
                                   "TINYSPHERE_TEST_VERSITY_ENDPOINT"}),
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
