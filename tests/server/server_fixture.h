// The real tinysphere as a process on a free port, spoken to over HTTPS by devices and people. With
// TINYSPHERE_SERVER_TEST_ON=postgres each test's server stands on a database of its own on the
// server of TINYSPHERE_TEST_POSTGRES.

#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "protocol/archive.h"
#include "protocol/bundle.h"
#include "protocol/package.h"
#include "protocol/statement.h"

namespace tests {

struct Answer {
  long status = 0;
  std::map<std::string, std::string> headers;  // Names in lower case.
  std::string body;

  // REQUIRES: the body is JSON; the test fails otherwise.
  base::Json json() const;
  // The signed statement in the body, nullopt if it is none.
  std::optional<protocol::Statement> statement() const;
};

using HeaderLines = std::vector<std::pair<std::string, std::string>>;

// One request; status 0 where there was no answer.
Answer Send(const std::string& method, const std::string& url, std::string_view body,
            const HeaderLines& headers);

struct ProgramResult {
  int exit_code = -1;
  std::string out;
  std::string err;
};
// Runs the tinysphere binary to its end.
ProgramResult RunTinysphere(const std::vector<std::string>& arguments, std::string_view input = "");

// `condition` becomes true within half a minute.
bool Eventually(const std::function<bool()>& condition);

// What a JSON value holds at "a.b.0.c"; the test fails where there is nothing.
base::Json At(const base::Json& json, std::string_view path);

class Server {
 public:
  explicit Server(std::string data) : data_(std::move(data)) {}
  ~Server() { Kill(); }
  void Start(const std::vector<std::string>& more = {});
  void Kill();      // SIGKILL
  int Terminate();  // SIGTERM; its exit code.
  const std::string& url() const { return url_; }
  const std::string& data() const { return data_; }

 private:
  std::string data_;
  std::string url_;
  std::string listen_ = "127.0.0.1:0";
  pid_t pid_ = -1;
};

// A device as far as the wire goes: a key, its requests, its packages.
class Device {
 public:
  Device(const Server& server, base::Ed25519PublicKey server_key);

  const std::string& id() const { return id_; }
  const base::Ed25519Key& key() const { return key_; }

  // A signed request. Once more with the new nonce where there is a 401 that is no statement.
  Answer Send(const std::string& method, const std::string& path, std::string_view body = "",
              HeaderLines headers = {});
  // The lines of a signed request, for tests that send them themselves.
  HeaderLines Sign(const std::string& method, const std::string& path, std::string_view body,
                   HeaderLines headers) const;
  Answer Enrol(const std::optional<std::string>& token_secret, const std::string& name);

  // From now on it speaks to another server, of the same keys.
  void MoveTo(const Server& server) { server_ = &server; }

  std::string PackageId(std::uint64_t seq) const;
  base::Bytes MakePackage(std::uint64_t seq, const std::string& type,
                          const std::vector<protocol::PackageFile>& files,
                          const std::string& bundle = "") const;
  Answer Put(std::uint64_t seq, base::ByteView archive);
  // Makes, puts and waits until it has been processed; the state it came to.
  std::string Deliver(std::uint64_t seq, const std::string& type,
                      const std::vector<protocol::PackageFile>& files,
                      const std::string& bundle = "");

  std::string nonce;
  std::string epoch = "0123456789abcdef";

 private:
  const Server* server_;
  base::Ed25519PublicKey server_key_;
  base::Ed25519Key key_;
  std::string id_;
};

// A person with an API token.
class Person {
 public:
  Person(const Server& server, std::string token) : server_(server), token_(std::move(token)) {}
  Answer Get(const std::string& path) const { return Send("GET", path, ""); }
  Answer Post(const std::string& path, const base::Json& body) const {
    return Send("POST", path, body.Write());
  }
  Answer Send(const std::string& method, const std::string& path, std::string_view body) const;

 private:
  const Server& server_;
  std::string token_;
};

// A server that runs, a publisher whose key it knows, and an administrator.
class ServerTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::string MakeToken();  // For one device; the whole text.
  Person MakePerson(const std::string& role);
  std::unique_ptr<Device> MakeDevice(const std::string& name);  // Enrolled.
  base::Ed25519PublicKey server_key() const;

  std::string folder_;
  base::Ed25519Key publisher_ = base::Ed25519Key::Generate();
  std::unique_ptr<Server> server_;
  std::unique_ptr<Person> admin_;
};

// A small bundle for rows of four channels, signed by `key`.
struct TestBundle {
  base::Bytes archive;
  std::string bundle;
};
TestBundle MakeBundle(const std::string& version, const base::Ed25519Key& key);

protocol::PackageFile TextFile(const std::string& path, const std::string& text);

}  // namespace tests
