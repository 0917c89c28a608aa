#include "tinysphere/access/server_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "protocol/statement.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinysphere/access/statements.h"

namespace tinysphere::access {
namespace {

using base::AsBytes;

TEST(ServerKeys, AreMadeOnceAndFoundAgain) {
  tests::FakeFileSystem fs;
  const std::string fingerprint = LoadOrMakeServerKeys(fs, "/data/keys").value().fingerprint();
  fs.Crash();
  const auto again = LoadOrMakeServerKeys(fs, "/data/keys");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->fingerprint(), fingerprint);
  EXPECT_EQ(again->nonce_key.size(), 32u);
  const std::string pub = base::ReadTextFile(fs, "/data/keys/server.pub", 4096).value();
  EXPECT_EQ(base::Fingerprint(base::ParsePublicKeyText(pub).value()), fingerprint);
}

TEST(ServerKeys, AreReadableByTheirOwnerOnly) {
  const std::string folder = testing::TempDir() + "keys_" + base::RandomHex(6);
  ASSERT_TRUE(LoadOrMakeServerKeys(base::SystemFileSystem(), folder).ok());
  for (const char* name : {"/server.key", "/nonce.key"}) {
    struct stat info{};
    ASSERT_EQ(stat((folder + name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
  std::filesystem::remove_all(folder);
}

TEST(ServerKeys, AreNotMadeAnewWhereTheyAreDamaged) {
  tests::FakeFileSystem fs;
  fs.Write("/data/keys/server.key", AsBytes("rubbish"));
  const auto keys = LoadOrMakeServerKeys(fs, "/data/keys");
  ASSERT_FALSE(keys.ok());
  EXPECT_NE(keys.error().message.find("/data/keys/server.key"), std::string::npos);
}

TEST(StatementSigner, SaysWhatTheServersKeyVerifies) {
  tests::FakeFileSystem fs;
  tests::FakeClock clock;
  const ServerKeys keys = LoadOrMakeServerKeys(fs, "/data/keys").value();
  const StatementSigner signer(keys, "generation-1", clock);
  const std::string header = signer.SignForHeader({.kind = "refused",
                                                   .device_id = "d-1",
                                                   .subject = "p-1",
                                                   .code = "corrupt",
                                                   .message = "manifest: sha256 differs"});
  auto statement = protocol::ParseStatementHeader(header).value();
  EXPECT_TRUE(protocol::VerifyStatement(statement, signer.public_key()).ok());
  EXPECT_EQ(statement.code, "corrupt");
  EXPECT_EQ(statement.store_generation, "generation-1");
  EXPECT_EQ(statement.server_time, base::FormatTime(clock.Now()));
  statement.subject = "p-2";
  EXPECT_FALSE(protocol::VerifyStatement(statement, signer.public_key()).ok());
}

}  // namespace
}  // namespace tinysphere::access
