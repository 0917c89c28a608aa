#include "tests/support/databases.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/crypto.h"
#include "tests/support/postgres.h"
#include "tinysphere/platform/postgres/postgres_database.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"

namespace tests {

namespace {

using Opened = base::Result<std::unique_ptr<tinysphere::store::Database>>;

class InFolder final : public DatabasePlace {
 public:
  InFolder() : folder_(testing::TempDir() + "database_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
  }
  ~InFolder() override { std::filesystem::remove_all(folder_); }
  InFolder(const InFolder&) = delete;
  InFolder& operator=(const InFolder&) = delete;

  Opened Open() override {
    return tinysphere::sqlite::OpenDatabase({.path = folder_ + "/tinysphere.db", .readers = 2});
  }

 private:
  std::string folder_;
};

class OnServer final : public DatabasePlace {
 public:
  explicit OnServer(std::unique_ptr<PostgresDatabase> database) : database_(std::move(database)) {}
  Opened Open() override { return tinysphere::postgres::OpenDatabase({.url = database_->url()}); }

 private:
  std::unique_ptr<PostgresDatabase> database_;
};

}  // namespace

std::vector<DatabaseKind> DatabaseKinds() {
  return {{"Sqlite", [] { return std::make_unique<InFolder>(); }, ""},
          {"Postgres",
           []() -> std::unique_ptr<DatabasePlace> {
             auto database = PostgresDatabase::Make();
             if (!database) return nullptr;
             return std::make_unique<OnServer>(std::move(database));
           },
           kNoPostgres}};
}

}  // namespace tests
