#include "tests/support/postgres.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <cstdlib>

#include "base/crypto.h"

namespace tests {

namespace {

void Run(const std::string& url, const std::string& sql) {
  PGconn* const session = PQconnectdb(url.c_str());
  EXPECT_EQ(PQstatus(session), CONNECTION_OK) << PQerrorMessage(session);
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

}  // namespace

std::unique_ptr<PostgresDatabase> PostgresDatabase::Make() {
  const char* const server = std::getenv("TINYSPHERE_TEST_POSTGRES");
  if (server == nullptr || *server == '\0') return nullptr;
  return std::unique_ptr<PostgresDatabase>(
      new PostgresDatabase(server, "tinysphere_test_" + base::RandomHex(6)));
}

PostgresDatabase::PostgresDatabase(std::string server, std::string name)
    : server_(std::move(server)), name_(std::move(name)), url_(WithName(server_, name_)) {
  Run(server_, "CREATE DATABASE " + name_ + " TEMPLATE template0 ENCODING 'UTF8'");
}

PostgresDatabase::~PostgresDatabase() { Run(server_, "DROP DATABASE " + name_ + " WITH (FORCE)"); }

void PostgresDatabase::EndSessions() const {
  Run(server_, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '" +
                   name_ + "'");
}

}  // namespace tests
