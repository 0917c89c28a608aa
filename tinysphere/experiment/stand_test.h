// A migrated database with a family, a bundle and a device; for the tests of this folder.

#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/crypto.h"
#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tinysphere/experiment/recorder.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::experiment {

inline constexpr char kDevice[] = "d-3f9a";

class ExperimentTest : public testing::Test {
 protected:
  ExperimentTest() : folder_(testing::TempDir() + "experiment_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
    database_ = sqlite::OpenDatabase({.path = folder_ + "/tinysphere.db", .readers = 1}).value();
    EXPECT_TRUE(store::Migrate(*database_, store::Migrations(), clock_.Now()).ok());
  }
  ~ExperimentTest() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  // A version as the registry writes it; gives the bundle's id.
  std::string AddVersion(const std::string& name, const std::string& version,
                         const std::string& model_file = "") {
    std::string files =
        R"({"path": "processor.safetensors", "role": "processor", "bytes": 10, "sha256": ")" +
        std::string(64, 'b') + R"("})";
    if (!model_file.empty()) {
      files += R"(, {"path": ")" + model_file + R"(", "role": "feature_model", "bytes": 2000,
                "sha256": ")" +
               std::string(64, 'c') + R"("})";
    }
    const std::string manifest =
        R"({"format": "tinylcm-bundle/1", "name": ")" + name + R"(", "version": ")" + version +
        R"(", "model_family": "digits-camera", "device_class": ["any"], "min_agent": "1.0.0",
            "task": "classification", "input": {"kind": "image", "width": 96, "height": 96,
            "channels": "rgb", "resize": "letterbox", "scale": "uint8"}, "labels": ["0", "1"],
            "lineage": {"parent": null, "data": ")" +
        std::string(64, 'd') + R"(", "taught_by": []}, "licence": "", "files": [)" + files + "]}";
    const std::string bundle = base::Sha256Hex(base::AsBytes(manifest));
    const base::Time now = clock_.Now();
    EXPECT_TRUE(database_
                    ->Write([&](store::Transaction& t) -> base::Status {
                      RETURN_IF_ERROR(t.Execute(
                          "INSERT INTO models (name, model_family, created_at) VALUES ($1, "
                          "'digits-camera', $2) ON CONFLICT (name) DO NOTHING",
                          {name, now}));
                      RETURN_IF_ERROR(t.Execute(
                          "INSERT INTO bundles (bundle, archive_sha256, bytes, object_key, "
                          "publisher, manifest, created_at) VALUES ($1, $2, 5000, $3, 'p', $4, $5)",
                          {bundle, "a-" + bundle, "bundles/sha256/" + bundle, manifest, now}));
                      RETURN_IF_ERROR(t.Execute(
                          "INSERT INTO model_versions (name, version, bundle, archive_sha256, "
                          "stage, created_at, created_by) VALUES ($1, $2, $3, $4, 'staging', $5, "
                          "'ann')",
                          {name, version, bundle, "a-" + bundle, now}));
                      return {};
                    })
                    .ok());
    return bundle;
  }

  template <typename F>
  void Write(F&& work) {
    const base::Status written = database_->Write(work);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }

  std::int64_t Count(const std::string& from) {
    return database_->QueryOne("SELECT COUNT(*) AS n FROM " + from).value()->Int("n");
  }

  std::string folder_;
  tests::FakeClock clock_;
  std::unique_ptr<store::Database> database_;
};

}  // namespace tinysphere::experiment
