#include "tinysphere/access/people.h"

#include "tinysphere/access/audit.h"
#include "tinysphere/access/stand_test.h"

namespace tinysphere::access {
namespace {

using base::Duration;
using base::ErrorCode;
using std::chrono::hours;

constexpr char kPassword[] = "correct horse";
const http::Peer kHere = {.address = "127.0.0.1", .is_loopback = true, .is_secure = false};

class PeopleTest : public AccessTest {
 protected:
  PeopleTest() : people_(*database_, *hasher_, clock_) {}

  void AddAnn() {
    ASSERT_TRUE(people_.CreateUser("ann", kPassword, http::Role::kOperator, "test").ok());
  }
  base::Result<SignedIn> SignIn(const std::string& name, const std::string& password,
                                const std::string& address = "192.0.2.1") {
    return people_.SignIn(name, password, address, wait_);
  }

  People people_;
  Duration wait_{};
};

TEST_F(PeopleTest, SignInWithTheRightPasswordOnly) {
  AddAnn();
  const auto in = SignIn("ann", kPassword);
  ASSERT_TRUE(in.ok()) << in.error().message;
  EXPECT_EQ(in->user.role, http::Role::kOperator);
  const auto wrong = SignIn("ann", "wrong password");
  const auto nobody = SignIn("bob", kPassword);
  ASSERT_FALSE(wrong.ok());
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(wrong.error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(wrong.error().message, nobody.error().message);
}

TEST_F(PeopleTest, KeepNoPasswordAndNoCookieInTheDatabase) {
  AddAnn();
  const std::string cookie = SignIn("ann", kPassword)->cookie;
  const auto user = database_->QueryOne("SELECT password_hash FROM users").value();
  EXPECT_EQ(user->Text("password_hash").substr(0, 10), "$argon2id$");
  const auto session = database_->QueryOne("SELECT session_id FROM sessions").value();
  EXPECT_NE(session->Text("session_id"), cookie);
}

TEST_F(PeopleTest, AreRefusedBadNamesShortPasswordsAndDoubles) {
  AddAnn();
  for (const char* name : {"", "Ann", "a b", "<script>"}) {
    EXPECT_FALSE(people_.CreateUser(name, kPassword, http::Role::kViewer, "test").ok()) << name;
  }
  EXPECT_FALSE(people_.CreateUser("bob", "123456789", http::Role::kViewer, "test").ok());
  const auto again = people_.CreateUser("ann", kPassword, http::Role::kAdmin, "test");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
}

// 5 tries an account and address, one more a minute.
TEST_F(PeopleTest, MustWaitAfterTooManyTriesForOneAccountFromOneAddress) {
  AddAnn();
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(SignIn("ann", "wrong password", "192.0.2.1").ok());
    EXPECT_EQ(wait_, Duration(0));
  }
  // Even the right one.
  const auto limited = SignIn("ann", kPassword, "192.0.2.1");
  ASSERT_FALSE(limited.ok());
  EXPECT_EQ(limited.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(wait_, Duration(60'000));
  clock_.Advance(wait_);
  EXPECT_TRUE(SignIn("ann", kPassword, "192.0.2.1").ok());
}

// 20 tries from each of eight addresses are more than ann has from one, and she is not there.
TEST_F(PeopleTest, AreNotLockedOutByAStrangerElsewhere) {
  AddAnn();
  for (int i = 0; i < 8 * 20; ++i) {
    EXPECT_FALSE(SignIn("ann", "wrong password", "192.0.2." + std::to_string(i % 8)).ok());
  }
  EXPECT_TRUE(SignIn("ann", kPassword, "192.0.2.99").ok());
}

// 200 tries an account in all, and 5 from each address: 41 addresses, as a stranger may have.
TEST_F(PeopleTest, CannotBeGuessedFromManyAddressesWithoutEnd) {
  AddAnn();
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(SignIn("ann", "wrong password", "192.0.2." + std::to_string(i / 5)).error().code,
              ErrorCode::kPermissionDenied);
  }
  EXPECT_EQ(SignIn("ann", "wrong password", "192.0.2.40").error().code, ErrorCode::kExhausted);
}

TEST_F(PeopleTest, AreWelcomeAsLongAsTheirSessionOrToken) {
  AddAnn();
  const std::string cookie = SignIn("ann", kPassword)->cookie;
  const auto ann = people_.FindSession(cookie);
  ASSERT_TRUE(ann.ok());
  EXPECT_TRUE(people_.IsStillWelcome(*ann));
  EXPECT_TRUE(people_.SignOut(ann->session_id).ok());
  EXPECT_FALSE(people_.IsStillWelcome(*ann));
  const auto secret = people_.CreateApiToken("ci", http::Role::kViewer, hours(1), "ann");
  ASSERT_TRUE(secret.ok());
  const auto ci = people_.FindApiToken(*secret);
  ASSERT_TRUE(ci.ok());
  EXPECT_TRUE(people_.IsStillWelcome(*ci));
  clock_.Advance(hours(1));
  EXPECT_FALSE(people_.IsStillWelcome(*ci));
}

TEST_F(PeopleTest, WhoAreRemovedAreGoneAtOnce) {
  AddAnn();
  const std::string cookie = SignIn("ann", kPassword)->cookie;
  EXPECT_TRUE(people_.RemoveUser("ann", "root").ok());
  EXPECT_FALSE(people_.FindSession(cookie).ok());
  EXPECT_FALSE(SignIn("ann", kPassword).ok());
  EXPECT_EQ(people_.RemoveUser("ann", "root").error().code, ErrorCode::kNotFound);
}

// 20 tries an address, whatever the account.
TEST_F(PeopleTest, MustWaitAfterTooManyTriesFromOneAddress) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(SignIn("user" + std::to_string(i), "wrong password").error().code,
              ErrorCode::kPermissionDenied);
  }
  EXPECT_EQ(SignIn("user20", "wrong password").error().code, ErrorCode::kExhausted);
  EXPECT_EQ(SignIn("user20", "wrong password", "192.0.2.2").error().code,
            ErrorCode::kPermissionDenied);
}

TEST_F(PeopleTest, StaySignedInWhileTheyComeBackWithinTwelveHours) {
  AddAnn();
  const std::string cookie = SignIn("ann", kPassword)->cookie;
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(hours(11));
    const auto identity = people_.FindSession(cookie);
    ASSERT_TRUE(identity.ok()) << i;
    EXPECT_EQ(identity->id, "ann");
    EXPECT_EQ(identity->role, http::Role::kOperator);
  }
  clock_.Advance(hours(12));
  EXPECT_FALSE(people_.FindSession(cookie).ok());
}

TEST_F(PeopleTest, AreSignedOutByThemselvesAndByANewPassword) {
  AddAnn();
  const std::string first = SignIn("ann", kPassword)->cookie;
  const std::string second = SignIn("ann", kPassword)->cookie;
  ASSERT_TRUE(people_.SignOut(people_.FindSession(first)->session_id).ok());
  EXPECT_FALSE(people_.FindSession(first).ok());
  EXPECT_TRUE(people_.FindSession(second).ok());
  ASSERT_TRUE(people_.ChangePassword("ann", "another horse", "ann").ok());
  EXPECT_FALSE(people_.FindSession(second).ok());
  EXPECT_FALSE(SignIn("ann", kPassword).ok());
  EXPECT_TRUE(SignIn("ann", "another horse").ok());
}

TEST_F(PeopleTest, UseApiTokensUntilTheyEnd) {
  const auto secret = people_.CreateApiToken("ci", http::Role::kViewer, hours(1), "ann");
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(people_.FindApiToken(*secret)->id, "token:ci");
  EXPECT_EQ(people_.FindApiToken(*secret)->role, http::Role::kViewer);
  EXPECT_FALSE(people_.FindApiToken(*secret + "x").ok());
  clock_.Advance(hours(1));
  EXPECT_FALSE(people_.FindApiToken(*secret).ok());

  const std::string lasting =
      people_.CreateApiToken("for-ever", http::Role::kViewer, Duration(0), "ann").value();
  clock_.Advance(hours(24 * 365));
  EXPECT_TRUE(people_.FindApiToken(lasting).ok());
  ASSERT_TRUE(people_.RevokeApiToken("for-ever", "ann").ok());
  EXPECT_FALSE(people_.FindApiToken(lasting).ok());
  EXPECT_FALSE(people_.CreateApiToken("ci", http::Role::kAdmin, Duration(0), "ann").ok());
}

TEST_F(PeopleTest, AreToldHowLongToWaitBeforeAnotherFirstAdminLinkIsTried) {
  base::Duration wait{};
  base::Result<SignedIn> last = people_.UseFirstAdminSecret("wrong", "ann", kPassword, kHere, wait);
  for (int tries = 1; wait == base::Duration(0) && tries < 1'000; ++tries) {
    last = people_.UseFirstAdminSecret("wrong", "ann", kPassword, kHere, wait);
  }
  EXPECT_GT(wait, base::Duration(0));
  EXPECT_EQ(last.error().code, base::ErrorCode::kExhausted);
}

TEST_F(PeopleTest, BeginWithOneAdministratorOnce) {
  base::Duration wait{};
  const auto secret = people_.MakeFirstAdminSecret().value();
  ASSERT_TRUE(secret.has_value());
  EXPECT_EQ(people_.MakeFirstAdminSecret().value(), std::nullopt);

  EXPECT_FALSE(people_.UseFirstAdminSecret("wrong", "ann", kPassword, kHere, wait).ok());
  const http::Peer far = {.address = "192.0.2.1", .is_loopback = false, .is_secure = false};
  EXPECT_FALSE(people_.UseFirstAdminSecret(*secret, "ann", kPassword, far, wait).ok());
  // A name that is refused does not use the link up.
  EXPECT_FALSE(people_.UseFirstAdminSecret(*secret, "Ann", kPassword, kHere, wait).ok());

  const auto in = people_.UseFirstAdminSecret(*secret, "ann", kPassword, kHere, wait);
  ASSERT_TRUE(in.ok()) << in.error().message;
  EXPECT_EQ(people_.FindSession(in->cookie)->role, http::Role::kAdmin);
  EXPECT_FALSE(people_.UseFirstAdminSecret(*secret, "eve", kPassword, kHere, wait).ok());
}

TEST_F(PeopleTest, HaveAnHourForTheFirstAdminLink) {
  base::Duration wait{};
  const auto secret = people_.MakeFirstAdminSecret().value();
  clock_.Advance(hours(1));
  EXPECT_FALSE(people_.UseFirstAdminSecret(*secret, "ann", kPassword, kHere, wait).ok());
}

TEST_F(PeopleTest, GetNoFirstAdminLinkWhenSomebodyIsThere) {
  AddAnn();
  EXPECT_EQ(people_.MakeFirstAdminSecret().value(), std::nullopt);
}

TEST_F(PeopleTest, CannotUseTheFirstAdminLinkOnceSomebodyIsThere) {
  base::Duration wait{};
  const auto secret = people_.MakeFirstAdminSecret().value();
  AddAnn();
  EXPECT_FALSE(people_.UseFirstAdminSecret(*secret, "eve", kPassword, kHere, wait).ok());
  EXPECT_EQ(people_.Users().value().size(), 1u);
}

TEST_F(PeopleTest, LeaveATraceOfEachChange) {
  AddAnn();
  ASSERT_TRUE(people_.ChangePassword("ann", "another horse", "root").ok());
  const auto entries = ReadAudit(*database_, 10).value();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].action, "user.password");
  EXPECT_EQ(entries[0].who, "root");
  EXPECT_EQ(entries[1].action, "user.create");
  EXPECT_EQ(entries[1].subject, "ann");
}

TEST(Cookie, IsFoundAmongOthers) {
  EXPECT_EQ(CookieValue("a=1; tinysphere_session=secret; b=2", kSessionCookie), "secret");
  EXPECT_EQ(CookieValue("xtinysphere_session=secret", kSessionCookie), "");
  EXPECT_EQ(CookieValue("", kSessionCookie), "");
}

TEST(Cookie, IsForThisSiteAndNotForScripts) {
  EXPECT_EQ(SessionCookie("s", true),
            "tinysphere_session=s; Path=/; HttpOnly; SameSite=Strict; Secure");
  EXPECT_EQ(SessionCookie("", false),
            "tinysphere_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
}

}  // namespace
}  // namespace tinysphere::access
