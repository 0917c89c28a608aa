// Connection: one session with the server, and the transaction that runs on it.
//
// What only opens and closes (BEGIN, SAVEPOINT, RELEASE) is not waited for: it is kept and rides
// along with the next statement in libpq's pipeline mode, one round trip for all of them. Each SQL
// text is prepared once per session. A session found dead when a transaction begins is opened anew
// without anybody noticing; one that dies inside a transaction makes it fail.
// Source: PostgreSQL 15, 34.5 (pipeline mode), 55.2 (message flow).

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tinysphere/store/database.h"

struct pg_conn;
struct pg_result;

namespace tinysphere::postgres {

struct ConnectionOptions {
  std::string url;
  std::string application_name;
  std::vector<std::string> settings;  // Statements run in each new session.
};

// "postgresql://ann:secret@db/fleet" -> "db:5432/fleet"; for messages.
base::Result<std::string> NameOf(const std::string& url);

// Belongs to one thread at a time.
class Connection final : public store::Transaction {
 public:
  explicit Connection(ConnectionOptions options);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Opens the session, or opens it again. kUnavailable; kUnsupported for a server that is too old
  // or keeps text in another encoding than UTF-8.
  base::Status Connect();

  // A transaction begins, and a work in it; nothing goes out before its first statement.
  void Begin(std::vector<std::string> statements);
  void Save();
  void Release();     // What the work did stays.
  void RollBackTo();  // Nothing of the work has happened.
  base::Status Commit();
  void RollBack();

  // The session died or could not begin: nothing of the transaction can be kept.
  bool is_over() const { return is_over_; }
  // Why a statement of this work failed; ok if none did.
  const base::Status& failed() const { return failed_; }
  // The server ended the work for another one's sake.
  bool may_be_run_again() const { return may_be_run_again_; }

  using Transaction::Execute;
  using Transaction::Query;
  base::Result<store::Rows> Query(std::string_view sql, const store::Params& params) override;
  base::Result<std::int64_t> Execute(std::string_view sql, const store::Params& params) override;
  base::Status ExecuteMany(std::string_view sql, const std::vector<store::Params>& rows) override;
  base::Status CopyIn(std::string_view table, const std::vector<std::string>& columns,
                      const std::vector<store::Params>& rows) override;
  base::Status Notify(std::string_view channel, std::string_view message) override;
  store::Dialect dialect() const override { return store::Dialect::kPostgres; }

  // For LISTEN, which has no transaction.
  base::Status RunAlone(const std::string& sql);
  // Waits for a notification; false when `wake_fd` became readable or the session died.
  bool WaitForNotification(int wake_fd, std::string& message);

 private:
  struct Outcome {
    store::Rows rows;
    std::int64_t changed = 0;
  };
  // What an answer is expected to: something kept, the preparation of a text, or the statement.
  struct Sent {
    enum class Kind { kKept, kPreparation, kStatement } kind;
    std::string key;  // What was kept; SQL and types of a preparation.
  };
  struct ResultDeleter {
    void operator()(pg_result* result) const;
  };
  using ResultPtr = std::unique_ptr<pg_result, ResultDeleter>;
  using RowsOfParams = std::vector<const store::Params*>;

  // What was kept, then `sql` (if not empty) once for each row of parameters, in one round trip.
  base::Result<Outcome> Step(std::string_view sql, const RowsOfParams& rows);
  base::Result<Outcome> SendAndRead(std::string_view sql, const RowsOfParams& rows);
  base::Status Send(std::string_view sql, const store::Params& params, std::vector<Sent>& sent);
  base::Status ReadAnswer(std::string_view sql, Outcome& outcome);
  void ReadOutcome(const pg_result* result, Outcome& outcome, base::Status& status);
  base::Status CopyRows(const std::string& sql, const std::vector<store::Params>& rows);
  base::Status MoveCounter(std::string_view table, const std::vector<std::string>& columns);
  base::Status RunSimple(const std::string& sql);
  base::Error Failure(const pg_result* result, std::string_view sql);
  base::Error Lost(std::string_view what) const;
  bool is_alive() const;

  ConnectionOptions options_;
  std::string name_;
  pg_conn* handle_ = nullptr;
  std::map<std::string, std::string, std::less<>> statements_;  // SQL and types to its name.
  std::int64_t next_name_ = 0;
  std::map<std::string, std::string, std::less<>> counters_;  // Table to the column that counts up.

  std::vector<std::string> kept_;
  std::size_t begin_size_ = 0;  // How many of them begin the transaction.
  std::size_t kept_before_save_ = 0;
  bool is_save_kept_ = false;
  bool has_begun_ = false;  // The server has heard of this transaction.
  bool is_over_ = false;
  bool may_be_run_again_ = false;
  base::Status failed_{};
};

}  // namespace tinysphere::postgres
