#include "tests/support/postgres.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "base/crypto.h"

namespace tests {

namespace {

void RunOn(const std::string& url, const std::string& sql) {
  PGconn* const session = PQconnectdb(url.c_str());
  EXPECT_EQ(PQstatus(session), CONNECTION_OK) << PQerrorMessage(session);
  PQclear(PQexec(session, "SET client_min_messages = warning"));
  PGresult* const result = PQexec(session, sql.c_str());
  const ExecStatusType status = PQresultStatus(result);
  EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
      << sql << ": " << PQerrorMessage(session);
  PQclear(result);
  PQfinish(session);
}

// "postgresql://ann@host/fleet?x=y" -> "postgresql://ann@host/NAME?x=y"
std::string WithName(const std::string& url, const std::string& name) {
  const std::size_t authority = url.find("://") + 3;
  const std::size_t options = std::min(url.find('?', authority), url.size());
  const std::size_t path = std::min(url.find('/', authority), options);
  return url.substr(0, path) + "/" + name + url.substr(options);
}

// Databases that a test is done with, empty again: making one flushes the server's disk. Dropped
// after the last test.
class Idle final : public testing::Environment {
 public:
  explicit Idle(std::string server) : server_(std::move(server)) {}
  void TearDown() override {
    for (const std::string& name : names_) {
      RunOn(server_, "DROP DATABASE " + name + " WITH (FORCE)");
    }
    names_.clear();
  }

  std::string Take() {
    const std::lock_guard lock(mutex_);
    if (names_.empty()) {
      const std::string made = "tinysphere_test_" + base::RandomHex(6);
      RunOn(server_, "CREATE DATABASE " + made + " TEMPLATE template0 ENCODING 'UTF8'");
      return made;
    }
    std::string taken = std::move(names_.back());
    names_.pop_back();
    return taken;
  }
  void Return(std::string name) {
    const std::lock_guard lock(mutex_);
    names_.push_back(std::move(name));
  }

 private:
  std::string server_;
  std::mutex mutex_;
  std::vector<std::string> names_;
};

Idle& IdleOn(const std::string& server) {
  // GoogleTest's from here on.
  static Idle* const idle = new Idle(server);
  static const bool is_added = testing::AddGlobalTestEnvironment(idle) == idle;
  EXPECT_TRUE(is_added);
  return *idle;
}

}  // namespace

std::unique_ptr<PostgresDatabase> PostgresDatabase::Make() {
  const char* const server = std::getenv("TINYSPHERE_TEST_POSTGRES");
  if (server == nullptr || *server == '\0') return nullptr;
  return std::unique_ptr<PostgresDatabase>(new PostgresDatabase(server, IdleOn(server).Take()));
}

PostgresDatabase::PostgresDatabase(std::string server, std::string name)
    : server_(std::move(server)), name_(std::move(name)), url_(WithName(server_, name_)) {}

PostgresDatabase::~PostgresDatabase() {
  EndSessions();
  Run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  IdleOn(server_).Return(name_);
}

void PostgresDatabase::Run(const std::string& sql) const { RunOn(url_, sql); }

void PostgresDatabase::EndSessions() const {
  RunOn(server_, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '" +
                     name_ + "'");
}

}  // namespace tests
