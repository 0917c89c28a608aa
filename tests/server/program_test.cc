// The program: its verbs, its exit codes, and that its routes are those that are written down.

#include <filesystem>
#include <fstream>
#include <set>

#include "base/text.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

class Program : public ServerTest {};

// "GET /api/v1/devices/{}" for every path and method of the OpenAPI file: paths stand two spaces
// in, methods four.
std::set<std::string> WrittenDown() {
  std::set<std::string> routes;
  std::ifstream file(OPENAPI_FILE);
  std::string path;
  bool is_paths = false;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != ' ') is_paths = line == "paths:";
    if (!is_paths) continue;
    if (line.starts_with("  /")) path = line.substr(2, line.size() - 3);
    if (!line.starts_with("    ") || line.starts_with("     ") || !line.ends_with(':')) continue;
    std::string method = line.substr(4, line.size() - 5);
    for (char& c : method) c = static_cast<char>(c - 32);
    routes.insert(method + " " + path);
  }
  return routes;
}

TEST_F(Program, ServesExactlyTheRoutesThatAreWrittenDown) {
  const ProgramResult listed = RunTinysphere({"routes", "--data", server_->data()});
  ASSERT_EQ(listed.exit_code, 0) << listed.err;
  std::set<std::string> served;
  for (const std::string_view line : base::Split(listed.out, '\n')) {
    if (!line.empty()) served.emplace(line.substr(0, line.find("  ")));
  }
  const std::set<std::string> written = WrittenDown();
  EXPECT_GT(written.size(), 40u);
  for (const std::string& route : served) {
    EXPECT_TRUE(written.contains(route)) << route << " is not in openapi.yaml";
  }
  for (const std::string& route : written) {
    EXPECT_TRUE(served.contains(route)) << route << " is not served";
  }
}

TEST_F(Program, EndsWith0WhenToldToStop) { EXPECT_EQ(server_->Terminate(), 0); }

TEST_F(Program, DoesNotStartWithoutTheProgramThatItWasToldToJudgeWith) {
  const ProgramResult told = RunTinysphere({"serve", "--data", server_->data() + "-other",
                                            "--listen", "127.0.0.1:0", "--tinylcm", "/etc/passwd"});
  EXPECT_EQ(told.exit_code, 2);
  EXPECT_NE(told.err.find("--tinylcm: no program to run at /etc/passwd"), std::string::npos)
      << told.err;
}

TEST_F(Program, IsHealthyAndShowsTheDashboard) {
  const Answer health = Send("GET", server_->url() + "/health", "", {});
  EXPECT_EQ(health.status, 200);
  EXPECT_TRUE(At(health.json(), "ok").as_bool());
  const Answer page = Send("GET", server_->url() + "/", "", {});
  EXPECT_EQ(page.status, 200);
  EXPECT_TRUE(page.headers.at("content-type").starts_with("text/html"));
}

TEST_F(Program, SignsAPersonInWithThePasswordOfTheShell) {
  const ProgramResult made = RunTinysphere(
      {"user", "create", "--data", server_->data(), "--name", "ada", "--role", "operator"},
      "correct horse battery\n");
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const std::string url = server_->url() + "/api/v1/session";
  EXPECT_EQ(Send("POST", url, "{\"name\":\"ada\",\"password\":\"wrong wrong wrong\"}", {}).status,
            401);
  const Answer in =
      Send("POST", url, "{\"name\":\"ada\",\"password\":\"correct horse battery\"}", {});
  ASSERT_EQ(in.status, 200) << in.body;
  EXPECT_EQ(At(in.json(), "role").as_string(), "operator");
  const std::string cookie = in.headers.at("set-cookie");
  EXPECT_NE(cookie.find("HttpOnly"), std::string::npos);
  EXPECT_NE(cookie.find("SameSite=Strict"), std::string::npos);
  const HeaderLines with_cookie = {{"cookie", cookie.substr(0, cookie.find(';'))}};
  EXPECT_EQ(Send("GET", url, "", with_cookie).status, 200);
  // A page of another origin cannot add the header field.
  EXPECT_EQ(Send("DELETE", url, "", with_cookie).status, 401);
  HeaderLines from_the_page = with_cookie;
  from_the_page.emplace_back("x-requested-with", "tinysphere");
  EXPECT_EQ(Send("DELETE", url, "", from_the_page).status, 204);
  EXPECT_EQ(Send("GET", url, "", with_cookie).status, 401);
}

TEST_F(Program, SaysInOneLineWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    const char* says;
  };
  const std::string data = folder_ + "/other";
  const std::vector<Case> cases = {
      {{"serve", "--data", data, "--listen", "0.0.0.0:0"}, 2, "plain HTTP"},
      {{"serve", "--data", data, "--listen", "nowhere"}, 2, "HOST:PORT"},
      {{"serve", "--data", data, "--database", "mysql://x"}, 2, "sqlite:"},
      {{"serve", "--data", data, "--database", "postgresql://a:b@127.0.0.1:1/c"},
       3,
       "127.0.0.1:1/c"},
      {{"serve", "--data", data, "--tls-cert", "a.pem"}, 2, "go together"},
      {{"token", "create", "--data", server_->data(), "--kind", "enroll"}, 2, "--publisher-key"},
      {{"token", "create", "--data", server_->data(), "--kind", "api", "--name", "x", "--ttl", "5"},
       2,
       "--ttl"},
      {{"model", "ls", "--data", folder_ + "/nothing"}, 2, "no server has been started"},
      {{"model", "add", "--data", server_->data(), folder_ + "/none.tar.zst"}, 1, "none.tar.zst"},
      {{"rollout", "start", "--data", server_->data(), "--name", "x", "--version", "1"},
       1,
       "no version"},
      {{"frobnicate"}, 2, "--help"},
  };
  for (const Case& one : cases) {
    const ProgramResult result = RunTinysphere(one.arguments);
    EXPECT_EQ(result.exit_code, one.exit_code) << one.says << ": " << result.err;
    EXPECT_NE(result.err.find(one.says), std::string::npos) << result.err;
    EXPECT_EQ(base::Split(result.err, '\n').size(), 2u) << result.err;
  }
  EXPECT_EQ(RunTinysphere({"--help"}).exit_code, 0);
  EXPECT_EQ(RunTinysphere({"rollout", "start", "--help"}).exit_code, 0);
}

TEST_F(Program, MakesNoServerOutOfAMistypedFolder) {
  const std::string mistyped = folder_ + "/dta";
  const std::vector<std::vector<std::string>> verbs = {
      {"routes", "--data", mistyped},
      {"token", "create", "--data", mistyped, "--kind", "api", "--name", "ci"}};
  for (const std::vector<std::string>& verb : verbs) {
    EXPECT_EQ(RunTinysphere(verb).exit_code, 2);
    EXPECT_FALSE(std::filesystem::exists(mistyped));
  }
}

TEST_F(Program, IsTheOnlyServerOnItsFolder) {
  const ProgramResult second = RunTinysphere(
      {"serve", "--data", server_->data(), "--listen", "127.0.0.1:0", "--tls-self-signed"});
  EXPECT_EQ(second.exit_code, 3);
  EXPECT_NE(second.err.find("another server runs on this folder"), std::string::npos) << second.err;
  EXPECT_EQ(Send("GET", server_->url() + "/health", "", {}).status, 200);
}

TEST_F(Program, MakesNoSecondPlaceWhereAnOptionWasForgotten) {
  const std::string elsewhere = "sqlite:" + folder_ + "/other.db";
  const ProgramResult other =
      RunTinysphere({"token", "ls", "--data", server_->data(), "--database", elsewhere});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.err.find("--database: " + server_->data() + " goes with "), std::string::npos)
      << other.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/other.db"));
}

TEST_F(Program, TakesNoDatabaseOfAnotherServer) {
  server_->Terminate();
  const std::string database = server_->data() + "/tinysphere.db";
  if (!std::filesystem::exists(database)) GTEST_SKIP() << "the database is PostgreSQL's";
  const ProgramResult other =
      RunTinysphere({"serve", "--data", folder_ + "/second", "--listen", "127.0.0.1:0",
                     "--tls-self-signed", "--database", "sqlite:" + database});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.err.find("it is another server's"), std::string::npos) << other.err;
}

TEST_F(Program, KeepsItsDataToItsOwner) {
  using std::filesystem::perms;
  const auto open_to_others = [](const std::string& path) {
    return (std::filesystem::status(path).permissions() & (perms::group_all | perms::others_all)) !=
           perms::none;
  };
  EXPECT_FALSE(open_to_others(server_->data()));
  const std::string database = server_->data() + "/tinysphere.db";  // Not where it is PostgreSQL.
  EXPECT_FALSE(std::filesystem::exists(database) && open_to_others(database));
  EXPECT_FALSE(open_to_others(server_->data() + "/objects"));
}

TEST_F(Program, ForgetsTheFirstAdminLinkOnceThereIsAUser) {
  const std::string path = server_->data() + "/first-admin";
  std::string link;
  std::getline(std::ifstream(path) >> std::ws, link);
  const std::size_t mark = link.find("/first-admin#link=");
  ASSERT_NE(mark, std::string::npos) << link;
  ASSERT_EQ(RunTinysphere({"user", "create", "--data", server_->data(), "--name", "ada", "--role",
                           "admin", "--generate"})
                .exit_code,
            0);
  EXPECT_FALSE(std::filesystem::exists(path));
  const base::Json body = base::Json::MakeObject({{"link", link.substr(link.find('=') + 1)},
                                                  {"name", "eve"},
                                                  {"password", "correct horse battery"}});
  EXPECT_EQ(Send("POST", server_->url() + "/api/v1/first-admin", body.Write(), {}).status, 403);
}

TEST_F(Program, TakesBackWhatItGave) {
  const Person ci = MakePerson("viewer");
  EXPECT_EQ(ci.Get("/api/v1/overview").status, 200);
  EXPECT_EQ(RunTinysphere({"token", "revoke", "--data", server_->data(), "viewer"}).exit_code, 0);
  EXPECT_EQ(ci.Get("/api/v1/overview").status, 401);
  EXPECT_EQ(RunTinysphere({"token", "revoke", "--data", server_->data(), "viewer"}).exit_code, 1);
  EXPECT_EQ(RunTinysphere({"token", "create", "--data", server_->data(), "--kind", "api", "--name",
                           "short", "--ttl", "0s"})
                .exit_code,
            2);

  const std::string url = server_->url() + "/api/v1/session";
  const auto sign_in = [&](const std::string& password) {
    return Send("POST", url,
                base::Json::MakeObject({{"name", "ada"}, {"password", password}}).Write(), {})
        .status;
  };
  const std::vector<std::string> ada = {"--data", server_->data(), "--name", "ada"};
  const auto user = [&](const std::string& verb, const std::string& input) {
    std::vector<std::string> arguments = {"user", verb};
    arguments.insert(arguments.end(), ada.begin(), ada.end());
    return RunTinysphere(arguments, input).exit_code;
  };
  EXPECT_EQ(user("create", "correct horse battery\n"), 0);
  EXPECT_EQ(user("password", "another horse battery\n"), 0);
  EXPECT_EQ(sign_in("correct horse battery"), 401);
  EXPECT_EQ(sign_in("another horse battery"), 200);
  EXPECT_EQ(user("remove", ""), 0);
  EXPECT_EQ(sign_in("another horse battery"), 401);
}

TEST_F(Program, ShowsAndRetriesWhatWasSetAside) {
  const auto device = MakeDevice("cam");
  EXPECT_EQ(device->Deliver(1, "drift_event", {TextFile("drift_event.json", "{}")}), "failed");
  const ProgramResult listed =
      RunTinysphere({"package", "ls", "--data", server_->data(), "--failed"});
  EXPECT_NE(listed.out.find(device->PackageId(1) + "  drift_event  failed  drift_event.json"),
            std::string::npos)
      << listed.out << listed.err;
  EXPECT_EQ(RunTinysphere({"package", "retry", "--data", server_->data(), device->PackageId(1)})
                .exit_code,
            0);
  EXPECT_EQ(RunTinysphere({"package", "retry", "--data", server_->data(), "no-such"}).exit_code, 1);
}

TEST_F(Program, AddsAModelBesideTheRunningServer) {
  (void)MakeToken();
  const TestBundle bundle = MakeBundle("1.0.0", publisher_);
  std::ofstream(folder_ + "/b.tar.zst", std::ios::binary) << base::AsText(bundle.archive);
  const ProgramResult added =
      RunTinysphere({"model", "add", "--data", server_->data(), "--json", folder_ + "/b.tar.zst"});
  ASSERT_EQ(added.exit_code, 0) << added.err;
  EXPECT_EQ(At(base::Json::Parse(added.out).value(), "bundle").as_string(), bundle.bundle);
  EXPECT_EQ(At(admin_->Get("/api/v1/models").json(), "items.0.name").as_string(), "digits");
  const ProgramResult listed = RunTinysphere({"model", "ls", "--data", server_->data()});
  EXPECT_NE(listed.out.find("digits 1.0.0"), std::string::npos) << listed.out;
}

}  // namespace
}  // namespace tests
