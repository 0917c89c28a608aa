// A database of its own for a test, on the PostgreSQL server that TINYSPHERE_TEST_POSTGRES names
// (postgresql://, of a user who may create databases). Empty
// again when the test is over, gone when the program is.

#pragma once

#include <memory>
#include <string>

namespace tests {

inline constexpr const char* kNoPostgres =
    "TINYSPHERE_TEST_POSTGRES (postgresql://...) is not set: nothing is tested on PostgreSQL";

class PostgresDatabase {
 public:
  // Null where there is no server to test on.
  static std::unique_ptr<PostgresDatabase> Make();
  ~PostgresDatabase();
  PostgresDatabase(const PostgresDatabase&) = delete;
  PostgresDatabase& operator=(const PostgresDatabase&) = delete;

  const std::string& url() const { return url_; }
  // One statement in a session of its own, outside of any transaction (VACUUM).
  void Run(const std::string& sql) const;
  // Ends every session of this database, as a restart of the server would.
  void EndSessions() const;

 private:
  PostgresDatabase(std::string server, std::string name);
  std::string server_;
  std::string name_;
  std::string url_;
};

}  // namespace tests
