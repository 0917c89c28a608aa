// A migrated database in a folder of its own, and the time; for the tests of this folder.

#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/crypto.h"
#include "tests/support/fake_clock.h"
#include "tinysphere/platform/sodium/sodium_password_hasher.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::access {

class AccessTest : public testing::Test {
 protected:
  AccessTest() : folder_(testing::TempDir() + "access_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
    database_ = sqlite::OpenDatabase({.path = folder_ + "/tinysphere.db", .readers = 1}).value();
    EXPECT_TRUE(store::Migrate(*database_, store::Migrations(), clock_.Now()).ok());
    hasher_ = sodium::MakePasswordHasher(sodium::Cost::kLeastForTests);
  }
  ~AccessTest() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string folder_;
  tests::FakeClock clock_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<PasswordHasher> hasher_;
};

}  // namespace tinysphere::access
