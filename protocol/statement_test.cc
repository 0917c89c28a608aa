#include "protocol/statement.h"

#include <gtest/gtest.h>

namespace protocol {
namespace {

class StatementTest : public testing::Test {
 protected:
  static Statement Stored() {
    Statement statement;
    statement.kind = StatementKind::kStored;
    statement.device_id = "d-1";
    statement.subject = "d-1-e-00000001";
    statement.sha256 = "ab";
    statement.store_generation = "g1";
    statement.server_time = "2026-11-20T12:00:00.000Z";
    return statement;
  }
  base::Ed25519Key key_ = base::Ed25519Key::FromSeed(base::Bytes(32, 7)).value();
};

TEST_F(StatementTest, SignsExactlyTheDocumentedText) {
  Statement statement = Stored();
  statement.key_id = "K";
  EXPECT_EQ(StatementText(statement),
            "tinylcm-statement/1\nstored\nd-1\nd-1-e-00000001\nab\n\ng1\n"
            "2026-11-20T12:00:00.000Z\nK\n");
}

TEST_F(StatementTest, GoesThroughJsonAndHeader) {
  Statement statement = Stored();
  statement.kind = StatementKind::kRefused;
  statement.error = StatementError{"corrupt", "manifest.json: seq: missing", "seq"};
  statement = SignStatement(statement, key_);
  EXPECT_EQ(statement.code, "corrupt");
  EXPECT_EQ(statement.key_id, base::Fingerprint(key_.public_key()));
  for (const Statement& parsed : {ParseStatement(ToJson(statement).Write()).value(),
                                  ParseStatementHeader(WriteStatementHeader(statement)).value()}) {
    EXPECT_EQ(parsed, statement);
    EXPECT_TRUE(VerifyStatement(parsed, key_.public_key()).ok());
  }
}

TEST_F(StatementTest, DoesNotHoldOnceAnySignedFieldIsChanged) {
  const Statement good = SignStatement(Stored(), key_);
  ASSERT_TRUE(VerifyStatement(good, key_.public_key()).ok());
  for (std::string Statement::* field :
       {&Statement::device_id, &Statement::subject, &Statement::sha256, &Statement::code,
        &Statement::store_generation, &Statement::server_time, &Statement::key_id}) {
    Statement changed = good;
    changed.*field += "x";
    EXPECT_FALSE(VerifyStatement(changed, key_.public_key()).ok());
  }
  Statement other_kind = good;
  other_kind.kind = StatementKind::kDuplicate;
  EXPECT_FALSE(VerifyStatement(other_kind, key_.public_key()).ok());
}

TEST_F(StatementTest, DoesNotHoldUnderAnotherKey) {
  EXPECT_FALSE(
      VerifyStatement(SignStatement(Stored(), key_), base::Ed25519Key::Generate().public_key())
          .ok());
}

TEST_F(StatementTest, RefusesAControlCharacterThatCouldMoveALine) {
  // "a\nb" + "" and "a" + "b" would have the same text.
  Statement statement = SignStatement(Stored(), key_);
  statement.subject = "a\nb";
  EXPECT_FALSE(VerifyStatement(statement, key_.public_key()).ok());
  EXPECT_FALSE(ParseStatement(ToJson(statement).Write()).ok());
}

TEST_F(StatementTest, RefusesWhatIsNoStatement) {
  base::Json json = ToJson(SignStatement(Stored(), key_));
  json.Set("kind", "agreed");
  EXPECT_FALSE(ParseStatement(json.Write()).ok());
  for (const char* text : {"", "{}", "<html>Welcome to the hotel</html>", "[]"}) {
    EXPECT_FALSE(ParseStatement(text).ok()) << text;
  }
  EXPECT_FALSE(ParseStatementHeader("not base64url!").ok());
}

}  // namespace
}  // namespace protocol
