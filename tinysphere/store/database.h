// Database: prepared SQL with bound parameters, and transactions. Nothing more.
//
// SQL is written by hand, in the part of the language that SQLite and PostgreSQL share: parameters
// are $1, $2, ...; times are BIGINT milliseconds; documents are TEXT holding JSON; flags are 0 or
// 1; INSERT ... ON CONFLICT is available; text is compared by its bytes. Types are not cast in
// silence: every column that is not aggregated stands in GROUP BY, and a parameter that is only
// asked whether it is NULL needs a CAST. Tables are made with BIGINT, TEXT, DOUBLE PRECISION, BLOB
// and, for a key that counts up by itself, INTEGER PRIMARY KEY. There is one writer, across
// processes too: writes that wait at the same time are committed together, so that one flush of the
// disk pays for all.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/trace.h"

namespace tinysphere::store {

// One bound parameter or one field of a row: null, integer, real, text or bytes.
class Value {
 public:
  Value() = default;                                            // NULL
  Value(std::nullopt_t) {}                                      // NOLINT: implicit
  Value(bool value) : data_(std::int64_t{value ? 1 : 0}) {}     // NOLINT: implicit
  Value(double value) : data_(value) {}                         // NOLINT: implicit
  Value(const char* value) : data_(std::string(value)) {}       // NOLINT: implicit
  Value(std::string value) : data_(std::move(value)) {}         // NOLINT: implicit
  Value(std::string_view value) : data_(std::string(value)) {}  // NOLINT: implicit
  Value(base::Bytes value) : data_(std::move(value)) {}         // NOLINT: implicit
  Value(base::Time time) : data_(std::int64_t{time.time_since_epoch().count()}) {}  // NOLINT
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>)
  Value(T value) : data_(static_cast<std::int64_t>(value)) {}  // NOLINT: implicit
  template <typename T>
  Value(const std::optional<T>& value) {  // NOLINT: implicit; nullopt is NULL
    if (value) *this = Value(*value);
  }

  using Data = std::variant<std::monostate, std::int64_t, double, std::string, base::Bytes>;
  const Data& data() const { return data_; }
  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }

 private:
  Data data_;
};

using Params = std::vector<Value>;

// One row of an answer, read by column name. Asking for a column that the query does not name, or
// for another type than the one that lies there, is a bug in the query and stops the program.
// NULL reads as 0 or "" through the plain getters; the Optional ones tell it apart.
class Row {
 public:
  using Columns = std::shared_ptr<const std::vector<std::string>>;
  Row(Columns columns, std::vector<Value> values)
      : columns_(std::move(columns)), values_(std::move(values)) {}

  // For what handles rows of any kind: the values in the order of the query's columns, and one.
  const std::vector<Value>& values() const { return values_; }
  const Value& value(std::string_view column) const { return Get(column); }

  bool IsNull(std::string_view column) const { return Get(column).is_null(); }
  std::int64_t Int(std::string_view column) const;
  double Double(std::string_view column) const;  // Also for an integer.
  bool Bool(std::string_view column) const { return Int(column) != 0; }
  std::string Text(std::string_view column) const;
  base::Bytes Blob(std::string_view column) const;
  base::Time Time(std::string_view column) const;
  // The JSON document in a TEXT column; null where the column is NULL or does not parse.
  base::Json Document(std::string_view column) const;

  std::optional<std::int64_t> OptionalInt(std::string_view column) const;
  std::optional<double> OptionalDouble(std::string_view column) const;
  std::optional<std::string> OptionalText(std::string_view column) const;
  std::optional<base::Time> OptionalTime(std::string_view column) const;

 private:
  const Value& Get(std::string_view column) const;

  Columns columns_;
  std::vector<Value> values_;
};

using Rows = std::vector<Row>;

// Where a statement has to be written for one of them.
enum class Dialect { kSqlite, kPostgres };

// What statements run on. Belongs to one thread and ends with the work it was given to. After a
// statement that failed the work can only end; text that is not UTF-8 or holds a zero byte is
// kInvalidArgument.
class Transaction {
 public:
  virtual ~Transaction() = default;
  virtual base::Result<Rows> Query(std::string_view sql, const Params& params) = 0;
  // The number of rows changed. kConflict where a UNIQUE or PRIMARY KEY stands against it.
  virtual base::Result<std::int64_t> Execute(std::string_view sql, const Params& params) = 0;
  // The same statement for each of `rows` in turn, without waiting in between.
  virtual base::Status ExecuteMany(std::string_view sql, const std::vector<Params>& rows) = 0;
  // Many rows into one table, the fastest way there is: COPY on PostgreSQL, a prepared INSERT on
  // SQLite. Each row has a value for each of `columns`. kConflict as in Execute.
  virtual base::Status CopyIn(std::string_view table, const std::vector<std::string>& columns,
                              const std::vector<Params>& rows) = 0;
  // Whoever listens to `channel` hears `message` (at most 7,000 bytes) once, and if, this
  // transaction is durable.
  virtual base::Status Notify(std::string_view channel, std::string_view message) = 0;
  virtual Dialect dialect() const = 0;

  base::Result<Rows> Query(std::string_view sql) { return Query(sql, Params{}); }
  base::Result<std::int64_t> Execute(std::string_view sql) { return Execute(sql, Params{}); }
  // The first row, or nullopt.
  base::Result<std::optional<Row>> QueryOne(std::string_view sql, const Params& params = {});
};

// Ends with its destruction; nothing is heard after that.
class Listening {
 public:
  virtual ~Listening() = default;
};

enum class Durability {
  kFlushed,  // On the disk when it is reported.
  kSoon,     // A crash of the database may undo the last moments; for what can be done again.
};

// May be used from several threads. A work function must not call Read or Write again: it has its
// transaction. Where the database ends a transaction for the sake of another one (a deadlock), the
// work is run once more.
class Database {
 public:
  using Work = std::function<base::Status(Transaction&)>;
  using Heard = std::function<void(const std::string& message)>;

  virtual ~Database() = default;
  virtual Dialect dialect() const = 0;

  // Called after each commit that wrote, with the works it held and how long it all took. Set once,
  // before the first use.
  using Committed = std::function<void(std::size_t works, double seconds)>;
  void OnCommit(Committed committed) { committed_ = std::move(committed); }

  // Runs `work`, which returns a Status or a Result<T>, in a write transaction. Its changes are
  // durable when Write returns ok; when it returns an error, nothing of it has happened.
  template <typename F>
  auto Write(F&& work) -> std::invoke_result_t<F, Transaction&> {
    return Run(std::forward<F>(work), [this](const Work& w) { return RunWrite(w); });
  }
  // A write beside the one writer, several at a time where the database can (PostgreSQL): only for
  // works whose statements stand on their own keys (an insert, a claim by SKIP LOCKED), for what
  // they read may change under them.
  template <typename F>
  auto WriteBeside(F&& work, Durability durability = Durability::kFlushed)
      -> std::invoke_result_t<F, Transaction&> {
    return Run(std::forward<F>(work),
               [this, durability](const Work& w) { return RunWriteBeside(w, durability); });
  }
  // The same for reading only, on one consistent snapshot.
  template <typename F>
  auto Read(F&& work) -> std::invoke_result_t<F, Transaction&> {
    return Run(std::forward<F>(work), [this](const Work& w) { return RunRead(w); });
  }

  // One statement in its own transaction.
  base::Result<Rows> Query(std::string_view sql, const Params& params = {});
  base::Result<std::optional<Row>> QueryOne(std::string_view sql, const Params& params = {});
  base::Result<std::int64_t> Execute(std::string_view sql, const Params& params = {});

  // `heard` is called, on a thread of the database's, for what Notify says in this process and, on
  // a shared database, in others; with "" where something may have been missed. It returns soon and
  // does not use the database. Must not outlive the database.
  virtual base::Result<std::unique_ptr<Listening>> Listen(std::string_view channel,
                                                          Heard heard) = 0;

 protected:
  virtual base::Status RunWrite(const Work& work) = 0;
  virtual base::Status RunWriteBeside(const Work& work, Durability durability) = 0;
  virtual base::Status RunRead(const Work& work) = 0;
  void TellCommitted(std::size_t works, std::chrono::steady_clock::duration took) {
    if (committed_) committed_(works, std::chrono::duration<double>(took).count());
  }

 private:
  template <typename F, typename Runner>
  auto Run(F&& work, Runner run) -> std::invoke_result_t<F, Transaction&> {
    using Answer = std::invoke_result_t<F, Transaction&>;
    // The work may run on another thread, and goes on under the caller's trace there.
    const std::string& trace = base::CurrentTrace();
    if constexpr (std::is_same_v<Answer, base::Status>) {
      return run([&](Transaction& transaction) -> base::Status {
        const base::TraceScope scope(trace);
        return work(transaction);
      });
    } else {
      std::optional<Answer> answer;
      const base::Status status = run([&](Transaction& transaction) -> base::Status {
        const base::TraceScope scope(trace);
        answer.emplace(work(transaction));
        if (!answer->ok()) return answer->error();
        return {};
      });
      if (!status.ok()) return status.error();
      return std::move(*answer);
    }
  }

  Committed committed_;
};

// kInvalidArgument for text that a database cannot keep: it is not UTF-8, or holds a zero byte.
base::Status CheckText(std::string_view text);

inline constexpr std::size_t kNotifyBytesMax = 7000;

}  // namespace tinysphere::store
