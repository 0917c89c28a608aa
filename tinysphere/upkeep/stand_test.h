// A migrated database and an object store on a disk in memory, with a device and what it sent.

#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/crypto.h"
#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinysphere/platform/folder/folder_object_store.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::upkeep {

class UpkeepTest : public testing::Test {
 protected:
  UpkeepTest() : folder_(testing::TempDir() + "upkeep_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
    database_ = sqlite::OpenDatabase({.path = folder_ + "/tinysphere.db", .readers = 1}).value();
    EXPECT_TRUE(store::Migrate(*database_, store::Migrations(), clock_.Now()).ok());
    EXPECT_TRUE(disk_.CreateDirectories("/data").ok());
    objects_ = folder::OpenObjectStore(disk_, {.root = "/data", .free_bytes_min = 0}).value();
    for (const char* device : {"d-1", "d-2"}) {
      Execute(
          "INSERT INTO devices (device_id, name, state, enrolled_at, fingerprint) "
          "VALUES ($1, '', 'active', 0, '')",
          {device});
    }
  }
  ~UpkeepTest() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Execute(const std::string& sql, const store::Params& params = {}) {
    const auto done = database_->Execute(sql, params);
    ASSERT_TRUE(done.ok()) << done.error().message;
  }
  // Put `age` ago.
  void Put(const std::string& key, const std::string& content, base::Duration age) {
    disk_.SetTime(clock_.Now() - age);
    const base::Status put = objects_->PutBytes(key, base::AsBytes(content));
    ASSERT_TRUE(put.ok()) << put.error().message;
  }
  // A package of `device_id` that says `content`, received `age` ago; the key of its archive.
  std::string AddPackage(const std::string& device_id, std::int64_t seq, const std::string& state,
                         base::Duration age, const std::string& content = "archive") {
    const std::string key = base::StrCat("packages/", device_id, "/e1/", seq, "-0123");
    Put(key, content, age);
    Execute(
        "INSERT INTO packages (device_id, epoch, seq, package_id, type, bytes, sha256, "
        "object_key, received_at, state) VALUES ($1, 'e1', $2, $3, 'drift', $4, $5, $6, $7, $8)",
        {device_id, seq, base::StrCat(device_id, "-e1-", seq), content.size(),
         base::Sha256Hex(base::AsBytes(content)), key, clock_.Now() - age, state});
    return key;
  }
  std::string StateOf(const std::string& device_id, std::int64_t seq) {
    return database_
        ->QueryOne("SELECT state FROM packages WHERE device_id = $1 AND seq = $2", {device_id, seq})
        .value()
        ->Text("state");
  }

  std::string folder_;
  tests::FakeClock clock_;
  tests::FakeFileSystem disk_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<store::ObjectStore> objects_;
};

}  // namespace tinysphere::upkeep
