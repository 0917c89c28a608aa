#include "tinysphere/fleet/erasures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tinysphere/platform/folder/folder_object_store.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"
#include "tinysphere/store/database_queue.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::fleet {
namespace {

class ErasuresOf : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = (std::filesystem::temp_directory_path() / ("erase-" + base::RandomHex(8))).string();
    std::filesystem::create_directories(folder_);
    database_ = sqlite::OpenDatabase({.path = folder_ + "/test.db"}).value();
    ASSERT_TRUE(store::Migrate(*database_, store::Migrations(), clock_.Now()).ok());
    objects_ =
        folder::OpenObjectStore(base::SystemFileSystem(), {.root = folder_ + "/objects"}).value();
    queue_ = std::make_unique<store::DatabaseQueue>(*database_, clock_);
    erasures_ = std::make_unique<Erasures>(*database_, *objects_, *queue_, clock_, events_);
    for (const char* device : {"d-1", "d-2"}) {
      Run(
          base::StrCat("INSERT INTO devices (device_id, name, state, enrolled_at, fingerprint, "
                       "bundle) VALUES ('",
                       device, "', 'kitchen', 'revoked', 1, 'print', 'b')"));
      Run(base::StrCat(
          "INSERT INTO packages (device_id, epoch, seq, package_id, type, bytes, "
          "sha256, object_key, received_at, state) VALUES ('",
          device, "', 'e', 1, '", device, "-e-1', 'metrics', 1, '', '', 1, 'stored')"));
      Run(base::StrCat("INSERT INTO metrics_points (device_id, at, document) VALUES ('", device,
                       "', 1, '{}')"));
      Run(
          base::StrCat("INSERT INTO feedback (feedback_id, device_id, event_id, document, sha256, "
                       "state, created_at) VALUES ('f-",
                       device, "', '", device, "', 'e', '{}', '', 'applied', 1)"));
      for (const char* key : {"packages/$/e/1", "drift/$/abrupt/20261120/e/a.jpg",
                              "prediction-images/$/cat/20261120/1.jpg", "data-logs/$/b/1.jsonl",
                              "drift-samples/$/s.jpg", "drift-samples/verdicts/f-$.jsonl",
                              "drift-features/$/e.safetensors", "adaptations/$/00"}) {
        std::string name = key;
        name.replace(name.find('$'), 1, device);
        ASSERT_TRUE(objects_->PutBytes(name, base::AsBytes(std::string_view("12345"))).ok());
        keys_.insert(name);
      }
      ASSERT_TRUE(database_
                      ->Write([&](store::Transaction& transaction) {
                        return queue_->Enqueue(
                            transaction, {.kind = "unpack", .key = base::StrCat(device, "-e-1")});
                      })
                      .ok());
    }
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Run(const std::string& sql) { ASSERT_TRUE(database_->Execute(sql).ok()) << sql; }
  std::int64_t Count(const std::string& table, const std::string& device) {
    const auto row = database_->QueryOne(
        base::StrCat("SELECT COUNT(*) AS n FROM ", table, " WHERE device_id = $1"), {device});
    EXPECT_TRUE(row.ok()) << table;
    return (*row)->Int("n");
  }
  std::size_t Objects(const std::string& device) {
    return static_cast<std::size_t>(std::count_if(keys_.begin(), keys_.end(), [&](const auto& key) {
      return key.find(device) != std::string::npos && *objects_->Exists(key);
    }));
  }
  store::Job Claim() {
    auto job = queue_->Claim(std::string(kEraseJob), clock_.Now(), base::Duration(60'000));
    EXPECT_TRUE(job.ok() && job->has_value());
    return **job;
  }

  tests::FakeClock clock_;
  std::string folder_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<store::ObjectStore> objects_;
  std::unique_ptr<store::DatabaseQueue> queue_;
  http::EventHub events_;
  std::unique_ptr<Erasures> erasures_;
  std::set<std::string> keys_;
};

TEST_F(ErasuresOf, ADeviceLeaveNothingButATombstoneAndTheAudit) {
  ASSERT_TRUE(erasures_->Ask("d-1", "anna").ok());
  ASSERT_TRUE(erasures_->Erase(Claim()).ok());
  for (const std::string_view table : ErasedTables()) {
    EXPECT_EQ(Count(std::string(table), "d-1"), 0) << table;
  }
  EXPECT_EQ(Objects("d-1"), 0u);
  const auto device = database_->QueryOne("SELECT * FROM devices WHERE device_id = 'd-1'");
  EXPECT_EQ((*device)->Text("name"), "d-1");
  EXPECT_EQ((*device)->Text("state"), "revoked");  // And so it stays.
  EXPECT_EQ((*device)->Text("bundle"), "");
  EXPECT_EQ((*device)->Int("is_erasing"), 0);
  EXPECT_FALSE((*device)->IsNull("erased_at"));
  const auto erasure = erasures_->Get("d-1");
  EXPECT_EQ(erasure->Find("state")->as_string(), "done");
  EXPECT_EQ(erasure->Find("objects")->as_int(), 8);
  EXPECT_EQ(erasure->Find("bytes")->as_int(), 8 * 5);
  const auto audit = database_->QueryOne(
      "SELECT COUNT(*) AS n FROM audit WHERE action = 'device.erase' AND who = 'anna'");
  EXPECT_EQ((*audit)->Int("n"), 2);  // Asked, done.
  // Nobody works on its packages any more.
  EXPECT_EQ((*queue_->Claim("unpack", clock_.Now(), base::Duration(1)))->key, "d-2-e-1");
}

TEST_F(ErasuresOf, ADeviceThatGoesOnKeepItsNameAndWhatItRuns) {
  Run("UPDATE devices SET state = 'active' WHERE device_id = 'd-1'");
  ASSERT_TRUE(erasures_->Ask("d-1", "anna").ok());
  ASSERT_TRUE(erasures_->Erase(Claim()).ok());
  const auto device = database_->QueryOne("SELECT * FROM devices WHERE device_id = 'd-1'");
  EXPECT_EQ((*device)->Text("name"), "kitchen");
  EXPECT_EQ((*device)->Text("bundle"), "b");
}

TEST_F(ErasuresOf, ADeviceLeaveOthersAlone) {
  ASSERT_TRUE(erasures_->Ask("d-1", "anna").ok());
  ASSERT_TRUE(erasures_->Erase(Claim()).ok());
  EXPECT_EQ(Objects("d-2"), 8u);
  for (const char* table : {"packages", "metrics_points", "feedback"}) {
    EXPECT_EQ(Count(table, "d-2"), 1) << table;
  }
}

TEST_F(ErasuresOf, AnUnknownDeviceAreRefused) {
  EXPECT_EQ(erasures_->Ask("d-3", "anna").error().code, base::ErrorCode::kNotFound);
  EXPECT_EQ(erasures_->Get("d-1").error().code, base::ErrorCode::kNotFound);
}

TEST_F(ErasuresOf, ADeviceAreAskedForOnceAndDoneTwiceWithoutHarm) {
  ASSERT_TRUE(erasures_->Ask("d-1", "anna").ok());
  ASSERT_TRUE(erasures_->Ask("d-1", "bert").ok());
  EXPECT_EQ(erasures_->Get("d-1")->Find("asked_by")->as_string(), "anna");
  const store::Job first = Claim();
  // Its worker died somewhere in between: the lease ends, another begins anew.
  ASSERT_TRUE(objects_->Delete("packages/d-1/e/1").ok());
  Run("DELETE FROM metrics_points WHERE device_id = 'd-1'");
  clock_.Advance(std::chrono::minutes(2));
  const store::Job second = Claim();
  ASSERT_TRUE(erasures_->Erase(second).ok());
  EXPECT_FALSE(erasures_->Erase(first).ok());
  EXPECT_EQ(Objects("d-1"), 0u);
  EXPECT_EQ(erasures_->Get("d-1")->Find("state")->as_string(), "done");
}

// Who adds a table with a device_id says here what becomes of it.
TEST_F(ErasuresOf, EveryTableOfADeviceAreSettled) {
  std::set<std::string> settled;
  for (const std::string_view table : ErasedTables()) settled.emplace(table);
  for (const std::string_view table : KeptTables()) settled.emplace(table);
  const auto tables = database_->Query(
      "SELECT m.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
      "WHERE m.type = 'table' AND c.name = 'device_id'");
  ASSERT_TRUE(tables.ok());
  EXPECT_GT(tables->size(), 20u);
  for (const store::Row& row : *tables) {
    EXPECT_TRUE(settled.contains(row.Text("name"))) << row.Text("name") << ": erased or kept?";
  }
}

}  // namespace
}  // namespace tinysphere::fleet
