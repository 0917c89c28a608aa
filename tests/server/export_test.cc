// An installation goes from one place to another and back, and is the same.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/text.h"
#include "tests/server/server_fixture.h"
#include "tests/support/postgres.h"

namespace tests {
namespace {

namespace stdfs = std::filesystem;
using base::Json;

std::string Read(const stdfs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// What an exported folder holds: rows by table, contents by name. A table's rows are a set: two
// databases need not order text in the same way.
struct Contents {
  std::map<std::string, std::multiset<std::string>> rows;
  std::map<std::string, std::string> files;  // Keys and objects.
};

Contents Look(const std::string& folder) {
  Contents contents;
  for (const auto& entry : stdfs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = stdfs::relative(entry.path(), folder).string();
    if (name.starts_with("keys/") || name.starts_with("objects/")) {
      contents.files[name] = Read(entry.path());
    }
    if (!name.starts_with("tables/")) continue;
    const std::string table = name.substr(7, name.find('/', 7) - 7);
    std::istringstream lines(Read(entry.path()));
    for (std::string line; std::getline(lines, line);) contents.rows[table].insert(line);
  }
  // What an import itself writes: its generation, and that it was.
  contents.rows.erase("settings");
  std::erase_if(contents.rows["audit"],
                [](const std::string& line) { return line.find("\"import\"") != line.npos; });
  return contents;
}

class ExportTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (IsSkipped()) return;
    device_ = MakeDevice("attic \"é\" €");
    for (std::uint64_t seq = 1; seq <= 3; ++seq) {
      ASSERT_EQ(device_->Deliver(seq, "notes", {TextFile("note.txt", base::StrCat("note ", seq))}),
                "processed");
    }
  }

  std::string Folder(const std::string& name) { return folder_ + "/" + name; }
  Json Run(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const ProgramResult result = RunTinysphere(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto json = Json::Parse(result.out);
    EXPECT_TRUE(json.ok()) << result.out;
    return json.ok() ? *json : Json();
  }

  std::unique_ptr<Device> device_;
};

TEST_F(ExportTest, AFolderIsSetUpElsewhereAndIsTheSame) {
  // Beside the running server.
  const Json exported = Run({"export", "--data", server_->data(), "--to", Folder("one")});
  EXPECT_EQ(At(exported, "rows.packages").as_int(), 3);
  EXPECT_GE(At(exported, "objects").as_int(), 3);
  const Json imported = Run({"import", "--data", Folder("other"), "--from", Folder("one")});
  EXPECT_EQ(At(imported, "rows").Write(), At(exported, "rows").Write());
  EXPECT_EQ(At(imported, "sha256").as_string(), At(exported, "sha256").as_string());
  Run({"export", "--data", Folder("other"), "--to", Folder("two")});
  const Contents one = Look(Folder("one"));
  const Contents two = Look(Folder("two"));
  EXPECT_EQ(one.rows, two.rows);
  EXPECT_EQ(one.files, two.files);
  EXPECT_EQ(one.rows.at("packages").size(), 3u);
  // Whoever has the keys is the server.
  for (const auto& entry : stdfs::recursive_directory_iterator(Folder("one"))) {
    EXPECT_EQ(stdfs::status(entry.path()).permissions() &
                  (stdfs::perms::group_all | stdfs::perms::others_all),
              stdfs::perms::none)
        << entry.path();
  }
}

TEST_F(ExportTest, AnArchiveHoldsTheSame) {
  Run({"export", "--data", server_->data(), "--to", Folder("one.tar.zst")});
  Run({"import", "--data", Folder("other"), "--from", Folder("one.tar.zst")});
  Run({"export", "--data", Folder("other"), "--to", Folder("two")});
  Run({"export", "--data", server_->data(), "--to", Folder("one")});
  EXPECT_EQ(Look(Folder("one")).files, Look(Folder("two")).files);
  EXPECT_EQ(Look(Folder("one")).rows, Look(Folder("two")).rows);
}

// SQLite and a folder -> PostgreSQL and MinIO -> SQLite and a folder.
TEST_F(ExportTest, GoesOverPostgresAndS3AndComesBackTheSame) {
  const auto postgres = PostgresDatabase::Make();
  if (!postgres) GTEST_SKIP() << kNoPostgres;
  const char* endpoint = std::getenv("TINYSPHERE_TEST_S3_ENDPOINT");
  if (endpoint == nullptr) GTEST_SKIP() << "TINYSPHERE_TEST_S3_ENDPOINT is not set";
  for (const char* name : {"ACCESS_KEY", "SECRET_KEY"}) {
    const char* value = std::getenv(base::StrCat("TINYSPHERE_TEST_S3_", name).c_str());
    ASSERT_NE(value, nullptr) << name;
    const std::string usual =
        std::string_view(name) == "ACCESS_KEY" ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY";
    setenv(usual.c_str(), value, 1);
  }
  const char* region = std::getenv("TINYSPHERE_TEST_S3_REGION");
  const std::vector<std::string> services = {
      "--database", postgres->url(), "--objects",
      base::StrCat("s3://x", base::RandomHex(6), "?endpoint=", endpoint,
                   "&region=", region ? region : "us-east-1", "&style=path")};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), services.begin(), services.end());
    return arguments;
  };
  Run({"export", "--data", server_->data(), "--to", Folder("one")});
  Run(with({"import", "--data", Folder("services"), "--from", Folder("one")}));
  Run(with({"export", "--data", Folder("services"), "--to", Folder("two")}));
  Run({"import", "--data", Folder("back"), "--from", Folder("two")});
  Run({"export", "--data", Folder("back"), "--to", Folder("three")});
  const Contents one = Look(Folder("one"));
  EXPECT_EQ(one.rows, Look(Folder("two")).rows);
  EXPECT_EQ(one.files, Look(Folder("two")).files);
  EXPECT_EQ(one.rows, Look(Folder("three")).rows);
  EXPECT_EQ(one.files, Look(Folder("three")).files);
}

TEST_F(ExportTest, WhatIsNotEmptyIsRefusedAndLeftAsItWas) {
  Run({"export", "--data", server_->data(), "--to", Folder("one")});
  server_->Terminate();
  const ProgramResult onto =
      RunTinysphere({"import", "--data", server_->data(), "--from", Folder("one")});
  EXPECT_EQ(onto.exit_code, 1) << onto.err;
  EXPECT_NE(onto.err.find("an import needs an empty folder"), std::string::npos) << onto.err;
  // Keys are new, the database is not.
  ASSERT_EQ(
      RunTinysphere({"user", "create", "--data", Folder("full"), "--name", "ann", "--generate"})
          .exit_code,
      0);
  const ProgramResult beside =
      RunTinysphere({"import", "--data", Folder("other"), "--from", Folder("one"), "--database",
                     "sqlite:" + Folder("full") + "/tinysphere.db"});
  EXPECT_EQ(beside.exit_code, 1) << beside.err;
  EXPECT_NE(beside.err.find("the database is not empty"), std::string::npos) << beside.err;
  EXPECT_FALSE(stdfs::exists(Folder("other") + "/keys"));
  EXPECT_FALSE(stdfs::exists(Folder("other") + "/importing"));
  const ProgramResult again =
      RunTinysphere({"export", "--data", server_->data(), "--to", Folder("one")});
  EXPECT_EQ(again.exit_code, 1) << again.err;
}

TEST_F(ExportTest, ATornExportChangesNothing) {
  Run({"export", "--data", server_->data(), "--to", Folder("one")});
  for (const auto& entry : stdfs::recursive_directory_iterator(Folder("one") + "/objects")) {
    if (!entry.is_regular_file()) continue;
    std::string content = Read(entry.path());
    content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
    std::ofstream(entry.path(), std::ios::binary) << content;
    break;
  }
  const ProgramResult torn =
      RunTinysphere({"import", "--data", Folder("other"), "--from", Folder("one")});
  EXPECT_EQ(torn.exit_code, 2) << torn.err;
  EXPECT_NE(torn.err.find("its contents are not what was written"), std::string::npos) << torn.err;
  EXPECT_FALSE(stdfs::exists(Folder("other") + "/keys"));
}

TEST_F(ExportTest, AnImportThatWasKilledIsServedByNobodyAndRunAgain) {
  Run({"export", "--data", server_->data(), "--to", Folder("one")});
  // As a kill between keys and rows leaves it.
  const auto end = Json::Parse(Read(Folder("one") + "/end.json"));
  ASSERT_TRUE(end.ok());
  stdfs::create_directories(Folder("other") + "/keys");
  std::ofstream(Folder("other") + "/importing") << At(*end, "dump_id").as_string() << "\n";
  const ProgramResult served =
      RunTinysphere({"serve", "--data", Folder("other"), "--listen", "127.0.0.1:0"});
  EXPECT_NE(served.exit_code, 0);
  EXPECT_NE(served.err.find("an import has not ended here"), std::string::npos) << served.err;
  Run({"import", "--data", Folder("other"), "--from", Folder("one")});
  Run({"export", "--data", Folder("other"), "--to", Folder("two")});
  EXPECT_EQ(Look(Folder("one")).rows, Look(Folder("two")).rows);
}

TEST_F(ExportTest, AnImportThatWasKilledAfterItsRowsIsOnlyEnded) {
  Run({"export", "--data", server_->data(), "--to", Folder("one")});
  const Json first = Run({"import", "--data", Folder("other"), "--from", Folder("one")});
  // The rows were committed, the marker is still there.
  std::ofstream(Folder("other") + "/importing") << At(first, "dump_id").as_string() << "\n";
  const Json again = Run({"import", "--data", Folder("other"), "--from", Folder("one")});
  EXPECT_EQ(At(again, "store_generation"), At(first, "store_generation"));
  EXPECT_EQ(At(again, "objects"), At(first, "objects"));
  EXPECT_FALSE(stdfs::exists(Folder("other") + "/importing"));
  Run({"export", "--data", Folder("other"), "--to", Folder("two")});
  EXPECT_EQ(Look(Folder("one")).rows, Look(Folder("two")).rows);
}

TEST_F(ExportTest, ADeviceLearnsOfItAndSendsWhatTheExportLacks) {
  Run({"export", "--data", server_->data(), "--to", Folder("one.tar.zst")});
  const base::Bytes late = device_->MakePackage(4, "notes", {TextFile("note.txt", "late")});
  const Answer before = device_->Put(4, late);
  ASSERT_EQ(before.status, 201);
  server_->Terminate();
  Run({"import", "--data", Folder("other"), "--from", Folder("one.tar.zst")});
  Server other(Folder("other"));
  other.Start();
  // The same keys, another generation: what the device compares.
  device_->MoveTo(other);
  Device& moved = *device_;
  Json offered = Json::MakeArray();
  for (const std::uint64_t seq : {1u, 2u, 3u, 4u}) offered.Append(moved.PackageId(seq));
  const Answer answer = moved.Send("POST", "/api/v1/packages/offer",
                                   Json::MakeObject({{"packages", std::move(offered)}}).Write());
  EXPECT_EQ(At(answer.json(), "unknown").Write(), "[\"" + moved.PackageId(4) + "\"]");
  const Answer again = moved.Put(4, late);
  EXPECT_EQ(again.status, 201);
  ASSERT_TRUE(before.statement() && again.statement());
  EXPECT_NE(before.statement()->store_generation, again.statement()->store_generation);
  EXPECT_EQ(moved.Put(1, moved.MakePackage(1, "notes", {TextFile("note.txt", "note 1")})).status,
            200);
}

}  // namespace
}  // namespace tests
