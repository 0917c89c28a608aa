#include "tinysphere/platform/sqlite/sqlite_database.h"

#include <sqlite3.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/text.h"
#include "tinysphere/store/listeners.h"

namespace tinysphere::sqlite {

using base::Error;
using base::ErrorCode;
using store::Params;
using store::Rows;
using store::Value;

namespace {

ErrorCode CodeOf(int result) {
  switch (result & 0xff) {
    case SQLITE_CONSTRAINT:
      return ErrorCode::kConflict;
    case SQLITE_FULL:
      return ErrorCode::kExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return ErrorCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::kCorrupt;
    default:
      return ErrorCode::kInternal;
  }
}

// One sqlite3 handle with its prepared statements. Belongs to one thread at a time.
class Connection final : public store::Transaction {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override {
    for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(handle_);
  }

  base::Status Open(const std::string& path, bool is_writer) {
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (is_writer ? SQLITE_OPEN_CREATE : 0);
    const int result = sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr);
    if (result != SQLITE_OK) return Failure(result, "open " + path);
    sqlite3_busy_timeout(handle_, 10'000);
    RETURN_IF_ERROR(Run("PRAGMA journal_mode = WAL"));
    // FULL: a commit is on the disk before it is reported, also after a power cut.
    RETURN_IF_ERROR(Run("PRAGMA synchronous = FULL"));
    RETURN_IF_ERROR(Run("PRAGMA foreign_keys = ON"));
    if (!is_writer) RETURN_IF_ERROR(Run("PRAGMA query_only = ON"));
    return {};
  }

  using Transaction::Execute;
  using Transaction::Query;

  base::Result<Rows> Query(std::string_view sql, const Params& params) override {
    return Step(sql, params);
  }

  base::Result<std::int64_t> Execute(std::string_view sql, const Params& params) override {
    RETURN_IF_ERROR(Step(sql, params));
    return static_cast<std::int64_t>(sqlite3_changes64(handle_));
  }

  base::Status ExecuteMany(std::string_view sql, const std::vector<Params>& rows) override {
    for (const Params& params : rows) RETURN_IF_ERROR(Step(sql, params));
    return {};
  }

  base::Status CopyIn(std::string_view table, const std::vector<std::string>& columns,
                      const std::vector<Params>& rows) override {
    std::string names;
    std::string marks;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      names += (i > 0 ? ", " : "") + columns[i];
      marks += base::StrCat(i > 0 ? ", $" : "$", i + 1);
    }
    return ExecuteMany(base::StrCat("INSERT INTO ", table, " (", names, ") VALUES (", marks, ")"),
                       rows);
  }

  base::Status Notify(std::string_view channel, std::string_view message) override {
    if (message.size() > store::kNotifyBytesMax) {
      return Error{ErrorCode::kInvalidArgument, "database: notify: the message is too long"};
    }
    said_.emplace_back(channel, message);
    return {};
  }

  store::Dialect dialect() const override { return store::Dialect::kSqlite; }

  // What was said since the last time, by channel.
  using Said = std::vector<std::pair<std::string, std::string>>;
  Said& said() { return said_; }

  base::Status Run(std::string_view sql) {
    auto rows = Step(sql, {});
    if (!rows.ok()) return rows.error();
    return {};
  }

  bool is_in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

 private:
  // SQL texts are constants of the program, so the cache stays small; the bound is for a mistake.
  static constexpr std::size_t kStatementsMax = 500;

  Error Failure(int result, const std::string& what) const {
    return {CodeOf(result),
            base::StrCat("database: ", what, ": ",
                         handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(result))};
  }

  base::Result<sqlite3_stmt*> Prepare(std::string_view sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) return found->second;
    sqlite3_stmt* statement = nullptr;
    const char* tail = nullptr;
    const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                          SQLITE_PREPARE_PERSISTENT, &statement, &tail);
    if (result != SQLITE_OK) return Failure(result, std::string(sql));
    CHECK(statement != nullptr);
    // A second statement would be dropped in silence.
    CHECK(base::Trim(sql.substr(static_cast<std::size_t>(tail - sql.data()))).empty());
    if (statements_.size() >= kStatementsMax) {
      for (auto& [text, old] : statements_) sqlite3_finalize(old);
      statements_.clear();
    }
    statements_.emplace(std::string(sql), statement);
    return statement;
  }

  static int Bind(sqlite3_stmt* statement, int index, const Value& value) {
    return std::visit(
        [&](const auto& data) -> int {
          using T = std::decay_t<decltype(data)>;
          if constexpr (std::is_same_v<T, std::monostate>) {
            return sqlite3_bind_null(statement, index);
          } else if constexpr (std::is_same_v<T, std::int64_t>) {
            return sqlite3_bind_int64(statement, index, data);
          } else if constexpr (std::is_same_v<T, double>) {
            return sqlite3_bind_double(statement, index, data);
          } else if constexpr (std::is_same_v<T, std::string>) {
            return sqlite3_bind_text64(statement, index, data.data(), data.size(), SQLITE_STATIC,
                                       SQLITE_UTF8);
          } else {
            // An empty blob with a null pointer would be NULL.
            static constexpr std::uint8_t kNothing = 0;
            return sqlite3_bind_blob64(statement, index, data.empty() ? &kNothing : data.data(),
                                       data.size(), SQLITE_STATIC);
          }
        },
        value.data());
  }

  static Value ReadValue(sqlite3_stmt* statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
      case SQLITE_INTEGER:
        return Value(static_cast<std::int64_t>(sqlite3_column_int64(statement, column)));
      case SQLITE_FLOAT:
        return Value(sqlite3_column_double(statement, column));
      case SQLITE_TEXT: {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
        const auto bytes = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
        return Value(std::string(text, bytes));
      }
      case SQLITE_BLOB: {
        const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement, column));
        const auto bytes = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
        return Value(bytes == 0 ? base::Bytes() : base::Bytes(data, data + bytes));
      }
      default:
        return Value();
    }
  }

  base::Result<Rows> Step(std::string_view sql, const Params& params) {
    ASSIGN_OR_RETURN(sqlite3_stmt* const statement, Prepare(sql));
    // $1 may stand anywhere and more than once, so parameters go by name.
    CHECK(sqlite3_bind_parameter_count(statement) <= static_cast<int>(params.size()));
    for (std::size_t i = 0; i < params.size(); ++i) {
      const std::string name = base::StrCat("$", i + 1);
      const int index = sqlite3_bind_parameter_index(statement, name.c_str());
      CHECK(index != 0);
      if (const auto* text = std::get_if<std::string>(&params[i].data())) {
        const base::Status is_text = store::CheckText(*text);
        if (!is_text.ok()) return is_text.error().Within(base::StrCat("database: $", i + 1));
      }
      const int result = Bind(statement, index, params[i]);
      if (result != SQLITE_OK) return Failure(result, std::string(sql));
    }
    Rows rows;
    store::Row::Columns columns;
    int result = sqlite3_step(statement);
    while (result == SQLITE_ROW) {
      const int count = sqlite3_column_count(statement);
      if (!columns) {
        auto names = std::make_shared<std::vector<std::string>>();
        for (int i = 0; i < count; ++i) names->emplace_back(sqlite3_column_name(statement, i));
        columns = std::move(names);
      }
      std::vector<Value> values;
      values.reserve(static_cast<std::size_t>(count));
      for (int i = 0; i < count; ++i) values.push_back(ReadValue(statement, i));
      rows.emplace_back(columns, std::move(values));
      result = sqlite3_step(statement);
    }
    base::Result<Rows> answer = std::move(rows);
    if (result != SQLITE_DONE) answer = Failure(result, std::string(sql.substr(0, 200)));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return answer;
  }

  sqlite3* handle_ = nullptr;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
  Said said_;
};

class SqliteDatabase final : public store::Database {
 public:
  explicit SqliteDatabase(const Options& options) : options_(options) {}

  ~SqliteDatabase() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake_writer_.notify_all();
    if (writer_.joinable()) writer_.join();
  }

  store::Dialect dialect() const override { return store::Dialect::kSqlite; }

  base::Result<std::unique_ptr<store::Listening>> Listen(std::string_view channel,
                                                         Heard heard) override {
    return listeners_.Add(channel, std::move(heard));
  }

  base::Status Open() {
    RETURN_IF_ERROR(write_connection_.Open(options_.path, true));
    for (int i = 0; i < options_.readers; ++i) {
      auto reader = std::make_unique<Connection>();
      RETURN_IF_ERROR(reader->Open(options_.path, false));
      idle_readers_.push_back(std::move(reader));
    }
    writer_ = std::thread([this] { WriteLoop(); });
    return {};
  }

 protected:
  base::Status RunWrite(const Work& work) override {
    // A write inside a write would wait for itself.
    CHECK(std::this_thread::get_id() != writer_.get_id());
    Waiting waiting{.work = &work};
    std::unique_lock lock(mutex_);
    waiting_.push_back(&waiting);
    wake_writer_.notify_one();
    written_.wait(lock, [&] { return waiting.is_done; });
    return std::move(waiting.status);
  }

  // The file has one writer.
  base::Status RunWriteBeside(const Work& work, store::Durability) override {
    return RunWrite(work);
  }

  base::Status RunRead(const Work& work) override {
    std::unique_ptr<Connection> reader;
    {
      std::unique_lock lock(readers_mutex_);
      reader_idle_.wait(lock, [&] { return !idle_readers_.empty(); });
      reader = std::move(idle_readers_.back());
      idle_readers_.pop_back();
    }
    base::Status status = reader->Run("BEGIN");
    if (status.ok()) {
      status = work(*reader);
      const base::Status ended = reader->Run("COMMIT");
      if (!ended.ok() && reader->is_in_transaction()) (void)reader->Run("ROLLBACK").ok();
      if (status.ok()) status = ended;
    }
    {
      const std::lock_guard lock(readers_mutex_);
      idle_readers_.push_back(std::move(reader));
    }
    reader_idle_.notify_one();
    return status;
  }

 private:
  struct Waiting {
    const Work* work = nullptr;
    base::Status status{};
    bool is_done = false;
  };

  void WriteLoop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_writer_.wait(lock, [&] { return is_stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      std::vector<Waiting*> batch;
      while (!waiting_.empty() && batch.size() < static_cast<std::size_t>(options_.batch_max)) {
        batch.push_back(waiting_.front());
        waiting_.pop_front();
      }
      lock.unlock();
      const auto begun = std::chrono::steady_clock::now();
      if (WriteBatch(batch)) {
        TellCommitted(batch.size(), std::chrono::steady_clock::now() - begun);
      } else {
        write_connection_.said().clear();
      }
      for (const auto& [channel, message] : write_connection_.said()) {
        listeners_.Tell(channel, message);
      }
      write_connection_.said().clear();
      lock.lock();
      for (Waiting* waiting : batch) waiting->is_done = true;
      written_.notify_all();
    }
  }

  // All in one transaction: an error inside one work undoes that work, a failed commit all of them.
  // True if it was committed.
  bool WriteBatch(const std::vector<Waiting*>& batch) {
    base::Status begun = write_connection_.Run("BEGIN IMMEDIATE");
    if (begun.ok()) {
      for (Waiting* waiting : batch) {
        waiting->status = WriteOne(*waiting->work);
        // A full disk may have ended the whole transaction; what ran before is then lost too.
        if (!write_connection_.is_in_transaction()) {
          begun = Error{ErrorCode::kUnavailable,
                        base::StrCat("database: the transaction was ended: ",
                                     waiting->status.ok() ? "" : waiting->status.error().message)};
          break;
        }
      }
      if (begun.ok()) {
        begun = write_connection_.Run("COMMIT");
        if (!begun.ok() && write_connection_.is_in_transaction()) {
          (void)write_connection_.Run("ROLLBACK").ok();
        }
      }
    }
    if (begun.ok()) return true;
    for (Waiting* waiting : batch) {
      if (waiting->status.ok()) waiting->status = begun;
    }
    return false;
  }

  base::Status WriteOne(const Work& work) {
    RETURN_IF_ERROR(write_connection_.Run("SAVEPOINT work"));
    const std::size_t said = write_connection_.said().size();
    base::Status status = work(write_connection_);
    if (!status.ok()) write_connection_.said().resize(said);
    if (!status.ok() && write_connection_.is_in_transaction()) {
      RETURN_IF_ERROR(write_connection_.Run("ROLLBACK TO work"));
    }
    if (write_connection_.is_in_transaction()) {
      const base::Status released = write_connection_.Run("RELEASE work");
      if (status.ok()) return released;
    }
    return status;
  }

  Options options_;
  store::Listeners listeners_;
  Connection write_connection_;  // The writer thread's, once it runs.
  std::thread writer_;
  std::mutex mutex_;
  std::condition_variable wake_writer_;
  std::condition_variable written_;
  std::deque<Waiting*> waiting_;  // At most one a calling thread.
  bool is_stopping_ = false;

  std::mutex readers_mutex_;
  std::condition_variable reader_idle_;
  std::vector<std::unique_ptr<Connection>> idle_readers_;
};

}  // namespace

base::Result<std::unique_ptr<store::Database>> OpenDatabase(const Options& options) {
  auto database = std::make_unique<SqliteDatabase>(options);
  RETURN_IF_ERROR(database->Open());
  return std::unique_ptr<store::Database>(std::move(database));
}

}  // namespace tinysphere::sqlite
