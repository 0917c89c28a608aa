#include "tinysphere/platform/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/text.h"
#include "tinysphere/platform/postgres/dialect.h"

namespace tinysphere::postgres {

using base::Error;
using base::ErrorCode;
using store::Params;
using store::Rows;
using store::Value;

namespace {

// SQL texts are constants of the program, so the cache stays small; the bound is for a mistake.
constexpr std::size_t kStatementsMax = 1000;
// The server's answers to so many statements fit into the socket's buffer, so that neither side
// waits for the other to read (PostgreSQL 15, 34.5.1.1).
constexpr std::size_t kStatementsAtOnce = 128;
constexpr std::size_t kCopyBytesAtOnce = 256u << 10;
constexpr int kServerVersionMin = 130'000;
// "terminating connection because of ..." and the like come in several lines.
std::string FirstLine(const char* message) {
  const std::string_view text = message == nullptr ? "" : message;
  return std::string(base::Trim(text.substr(0, text.find('\n'))));
}

std::string Short(std::string_view sql) { return std::string(sql.substr(0, 200)); }

// The number of the type a value is sent as. Text is left to the server, which sees what stands on
// the other side; so is NULL.
Oid TypeOf(const Value& value) {
  if (std::holds_alternative<std::int64_t>(value.data())) return 20;
  if (std::holds_alternative<double>(value.data())) return 701;
  if (std::holds_alternative<base::Bytes>(value.data())) return 17;
  return 0;
}

char KindOf(const Value& value) { return static_cast<char>('0' + value.data().index()); }

// Statements that are not waited for change no rows.
std::vector<const Params*> NoRows() { return {}; }

}  // namespace

void Connection::ResultDeleter::operator()(pg_result* result) const { PQclear(result); }

base::Result<std::string> NameOf(const std::string& url) {
  const Error wrong{ErrorCode::kInvalidArgument,
                    "database: postgresql://USER:PASSWORD@HOST:PORT/NAME is wanted"};
  if (!url.starts_with("postgresql://") && !url.starts_with("postgres://")) return wrong;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
      PQconninfoParse(url.c_str(), nullptr), PQconninfoFree);
  if (!parsed) return wrong;
  std::string host = "localhost";
  std::string port = "5432";
  std::string name;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword = option->keyword;
    if (keyword == "host") host = option->val;
    if (keyword == "port") port = option->val;
    if (keyword == "dbname") name = option->val;
  }
  return base::StrCat(host, ":", port, "/", name);
}

Connection::Connection(ConnectionOptions options) : options_(std::move(options)) {
  const auto name = NameOf(options_.url);
  name_ = name.ok() ? *name : "postgresql";
}

Connection::~Connection() { PQfinish(handle_); }

bool Connection::is_alive() const {
  return handle_ != nullptr && PQstatus(handle_) == CONNECTION_OK;
}

base::Status Connection::Connect() {
  PQfinish(handle_);
  statements_.clear();
  counters_.clear();
  // The later counts: the URL (expanded from "dbname") over what is usual, the encoding over it. A
  // network that swallows packets shows after half a minute.
  const char* const keywords[] = {"connect_timeout", "tcp_user_timeout", "application_name",
                                  "dbname",          "client_encoding",  nullptr};
  const char* const values[] = {
      "5", "30000", options_.application_name.c_str(), options_.url.c_str(), "UTF8", nullptr};
  handle_ = PQconnectdbParams(keywords, values, /*expand_dbname=*/1);
  if (!is_alive()) {
    const std::string why = handle_ == nullptr ? "no memory" : FirstLine(PQerrorMessage(handle_));
    return Error{ErrorCode::kUnavailable, base::StrCat("database ", name_, ": ", why)};
  }
  PQsetNoticeProcessor(handle_, [](void*, const char*) {}, nullptr);
  if (PQserverVersion(handle_) < kServerVersionMin) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("database ", name_, ": PostgreSQL ", PQserverVersion(handle_) / 10000,
                              " is too old, 13 is wanted")};
  }
  const char* const encoding = PQparameterStatus(handle_, "server_encoding");
  if (encoding == nullptr || std::string_view(encoding) != "UTF8") {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("database ", name_, ": its encoding is ",
                              encoding == nullptr ? "not known" : encoding, ", UTF8 is wanted")};
  }
  std::string settings = "SET bytea_output = hex; SET extra_float_digits = 1";
  for (const std::string& setting : options_.settings) settings += "; " + setting;
  RETURN_IF_ERROR(RunSimple(settings));
  CHECK(PQenterPipelineMode(handle_) == 1);
  return {};
}

void Connection::Begin(std::vector<std::string> statements) {
  // By itself, between two transactions: before BEGIN in one pipeline it would have taken the
  // snapshot already, and before ROLLBACK TO of a work that failed it would be refused.
  if (statements_.size() > kStatementsMax && is_alive()) {
    statements_.clear();
    // A session that cannot do it has no use for the names either: it is dead.
    if (!RunAlone("DEALLOCATE ALL").ok()) (void)Connect().ok();
  }
  begin_size_ = statements.size();
  kept_ = std::move(statements);
  kept_before_save_ = 0;
  is_save_kept_ = false;
  has_begun_ = false;
  is_over_ = false;
  may_be_run_again_ = false;
  failed_ = {};
}

void Connection::Save() {
  failed_ = {};
  may_be_run_again_ = false;
  kept_before_save_ = kept_.size();
  is_save_kept_ = true;
  kept_.emplace_back("SAVEPOINT work");
}

void Connection::Release() {
  if (is_save_kept_ && kept_.size() == kept_before_save_ + 1) {
    kept_.resize(kept_before_save_);  // It did nothing.
  } else {
    kept_.emplace_back("RELEASE work");
  }
  is_save_kept_ = false;
}

void Connection::RollBackTo() {
  failed_ = {};
  if (is_save_kept_) {
    kept_.resize(kept_before_save_);
  } else {
    kept_.emplace_back("ROLLBACK TO work");
    kept_.emplace_back("RELEASE work");
  }
  is_save_kept_ = false;
}

base::Status Connection::Commit() {
  if (!has_begun_ && kept_.size() == begin_size_) {
    kept_.clear();
    return {};
  }
  kept_.emplace_back("COMMIT");
  const auto done = Step("", NoRows());
  has_begun_ = false;
  if (done.ok()) return {};
  if (!is_alive()) {
    return Error{
        ErrorCode::kUnavailable,
        base::StrCat("database ", name_, ": lost while it committed: ", done.error().message)};
  }
  return done.error();
}

void Connection::RollBack() {
  kept_.clear();
  failed_ = {};
  if (has_begun_ && is_alive()) {
    kept_.emplace_back("ROLLBACK");
    is_over_ = false;
    (void)Step("", NoRows()).ok();
  }
  has_begun_ = false;
}

base::Result<Rows> Connection::Query(std::string_view sql, const Params& params) {
  ASSIGN_OR_RETURN(Outcome outcome, Step(sql, {&params}));
  return std::move(outcome.rows);
}

base::Result<std::int64_t> Connection::Execute(std::string_view sql, const Params& params) {
  ASSIGN_OR_RETURN(const Outcome outcome, Step(sql, {&params}));
  return outcome.changed;
}

base::Status Connection::ExecuteMany(std::string_view sql, const std::vector<Params>& rows) {
  for (std::size_t first = 0; first < rows.size(); first += kStatementsAtOnce) {
    RowsOfParams some;
    const std::size_t end = std::min(rows.size(), first + kStatementsAtOnce);
    for (std::size_t i = first; i < end; ++i) some.push_back(&rows[i]);
    RETURN_IF_ERROR(Step(sql, some));
  }
  return {};
}

base::Status Connection::Notify(std::string_view channel, std::string_view message) {
  if (message.size() > store::kNotifyBytesMax) {
    return Error{ErrorCode::kInvalidArgument, "database: notify: the message is too long"};
  }
  RETURN_IF_ERROR(
      Execute("SELECT pg_notify('tinysphere', $1)", {base::StrCat(channel, "\n", message)}));
  return {};
}

base::Result<Connection::Outcome> Connection::Step(std::string_view sql, const RowsOfParams& rows) {
  if (!failed_.ok()) return failed_.error();  // The server takes nothing more of this work.
  if (is_over_) return Lost("is over");
  if (!has_begun_ && !is_alive()) {
    const base::Status connected = Connect();
    if (!connected.ok()) {
      is_over_ = true;
      return connected.error();
    }
  }
  auto outcome = SendAndRead(sql, rows);
  // The server was started anew since this session was last used: nothing has happened yet, and it
  // happens in a new one.
  if (!outcome.ok() && !has_begun_ && !is_alive() && Connect().ok()) {
    is_over_ = false;
    outcome = SendAndRead(sql, rows);
  }
  if (!outcome.ok()) {
    failed_ = outcome.error();
    if (!is_alive()) is_over_ = true;
  }
  return outcome;
}

base::Result<Connection::Outcome> Connection::SendAndRead(std::string_view sql,
                                                          const RowsOfParams& rows) {
  const std::string text = Translate(sql);
  std::vector<Sent> sent;
  base::Status status;
  for (const std::string& kept : kept_) {
    if (PQsendQueryParams(handle_, kept.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1) {
      return Lost("sending");
    }
    sent.push_back({.kind = Sent::Kind::kKept, .key = kept});
  }
  for (const Params* params : rows) {
    status = Send(text, *params, sent);
    if (!status.ok()) break;
  }
  if (PQpipelineSync(handle_) != 1) return Lost("sending");
  Outcome outcome;
  bool is_begun = true;
  for (const Sent& one : sent) {
    if (!is_alive()) return Lost("reading");
    Outcome answer;
    const base::Status read =
        ReadAnswer(one.kind == Sent::Kind::kKept ? std::string_view(one.key) : sql, answer);
    if (one.kind == Sent::Kind::kStatement) {
      outcome.changed += answer.changed;
      if (outcome.rows.empty()) outcome.rows = std::move(answer.rows);
    }
    if (!read.ok()) {
      if (one.kind == Sent::Kind::kPreparation) statements_.erase(one.key);
      if (one.kind == Sent::Kind::kKept) is_begun = false;
      if (status.ok()) status = read;
    }
  }
  for (;;) {
    const ResultPtr result(PQgetResult(handle_));
    if (!is_alive()) return Lost("reading");
    if (result && PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) break;
  }
  kept_.clear();
  is_save_kept_ = false;
  has_begun_ = true;
  if (!is_begun) is_over_ = true;
  if (!status.ok()) return status.error();
  return outcome;
}

base::Status Connection::Send(std::string_view sql, const Params& params, std::vector<Sent>& sent) {
  const int count = static_cast<int>(params.size());
  std::vector<std::string> texts(params.size());
  std::vector<const char*> values(params.size(), nullptr);
  std::vector<Oid> types(params.size());
  std::vector<int> lengths(params.size(), 0);
  std::vector<int> formats(params.size(), 0);
  std::string key(sql);
  key += '\0';
  for (std::size_t i = 0; i < params.size(); ++i) {
    const Value& value = params[i];
    types[i] = TypeOf(value);
    key += KindOf(value);
    if (value.is_null()) continue;
    if (const auto* bytes = std::get_if<base::Bytes>(&value.data())) {
      values[i] = bytes->empty() ? "" : reinterpret_cast<const char*>(bytes->data());
      lengths[i] = static_cast<int>(bytes->size());
      formats[i] = 1;
      continue;
    }
    if (const auto* text = std::get_if<std::string>(&value.data())) {
      const base::Status is_text = store::CheckText(*text);
      if (!is_text.ok()) return is_text.error().Within(base::StrCat("database: $", i + 1));
      values[i] = text->c_str();
      continue;
    }
    texts[i] = FormatField(value);
    values[i] = texts[i].c_str();
  }
  auto found = statements_.find(key);
  if (found == statements_.end()) {
    found = statements_.emplace(key, base::StrCat("s", next_name_++)).first;
    if (PQsendPrepare(handle_, found->second.c_str(), std::string(sql).c_str(), count,
                      types.data()) != 1) {
      return Lost("sending");
    }
    sent.push_back({.kind = Sent::Kind::kPreparation, .key = key});
  }
  if (PQsendQueryPrepared(handle_, found->second.c_str(), count, values.data(), lengths.data(),
                          formats.data(), 0) != 1) {
    return Lost("sending");
  }
  sent.push_back({.kind = Sent::Kind::kStatement, .key = {}});
  return {};
}

// An answer is any number of results and a null pointer.
base::Status Connection::ReadAnswer(std::string_view sql, Outcome& outcome) {
  base::Status status;
  for (;;) {
    const ResultPtr result(PQgetResult(handle_));
    if (!result) return is_alive() ? status : base::Status(Lost("reading"));
    switch (PQresultStatus(result.get())) {
      case PGRES_TUPLES_OK:
        ReadOutcome(result.get(), outcome, status);
        break;
      case PGRES_COMMAND_OK: {
        const std::string_view command = PQcmdStatus(const_cast<PGresult*>(result.get()));
        if (sql == "COMMIT" && command == "ROLLBACK" && status.ok()) {
          status = Error{ErrorCode::kUnavailable,
                         base::StrCat("database ", name_, ": the transaction was ended")};
        }
        break;
      }
      case PGRES_PIPELINE_ABORTED:
        if (status.ok()) status = Error{ErrorCode::kUnavailable, "database: not reached"};
        break;
      default:
        if (status.ok()) status = Failure(result.get(), sql);
    }
    const auto changed = base::ParseInt(PQcmdTuples(result.get()));
    if (changed.ok()) outcome.changed = *changed;
  }
}

void Connection::ReadOutcome(const PGresult* result, Outcome& outcome, base::Status& status) {
  const int columns = PQnfields(result);
  auto names = std::make_shared<std::vector<std::string>>();
  for (int i = 0; i < columns; ++i) names->emplace_back(PQfname(result, i));
  const int rows = PQntuples(result);
  outcome.rows.reserve(static_cast<std::size_t>(rows));
  for (int row = 0; row < rows; ++row) {
    std::vector<Value> values;
    values.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) {
      if (PQgetisnull(result, row, i) == 1) {
        values.emplace_back();
        continue;
      }
      const std::string_view text(PQgetvalue(result, row, i),
                                  static_cast<std::size_t>(PQgetlength(result, row, i)));
      auto value = ParseField(PQftype(result, i), text);
      if (!value.ok()) {
        if (status.ok()) status = value.error();
        return;
      }
      values.push_back(std::move(*value));
    }
    outcome.rows.emplace_back(names, std::move(values));
  }
}

Error Connection::Failure(const PGresult* result, std::string_view sql) {
  const char* const field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string_view state = field == nullptr ? "" : field;
  if (state == "40001" || state == "40P01") may_be_run_again_ = true;
  const char* const primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string why = FirstLine(primary != nullptr ? primary : PQresultErrorMessage(result));
  ErrorCode code = CodeOf(state);
  if (state == "0A000" && why.find("cached plan") != std::string::npos) {
    // Somebody changed the table under a prepared statement: the next try prepares it anew.
    statements_.clear();
    code = ErrorCode::kUnavailable;
  }
  return {code, base::StrCat("database ", name_, ": ", Short(sql), ": ", why)};
}

Error Connection::Lost(std::string_view what) const {
  const std::string why = handle_ == nullptr ? "" : FirstLine(PQerrorMessage(handle_));
  return {ErrorCode::kUnavailable,
          base::StrCat("database ", name_, ": ", why.empty() ? "the session ended" : why, " (",
                       what, ")")};
}

base::Status Connection::RunSimple(const std::string& sql) {
  const ResultPtr result(PQexec(handle_, sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return {};
  if (!is_alive()) return Lost("running");
  return Failure(result.get(), sql);
}

base::Status Connection::CopyIn(std::string_view table, const std::vector<std::string>& columns,
                                const std::vector<Params>& rows) {
  if (rows.empty()) return {};
  for (const Params& row : rows) {
    CHECK(row.size() == columns.size());
    for (const Value& value : row) {
      const auto* text = std::get_if<std::string>(&value.data());
      if (text == nullptr) continue;
      const base::Status is_text = store::CheckText(*text);
      if (!is_text.ok()) return is_text.error().Within(base::StrCat("database: ", table));
    }
  }
  // COPY is not for pipelines: what was kept goes first.
  RETURN_IF_ERROR(Step("", NoRows()));
  std::string names;
  for (const std::string& column : columns) names += (names.empty() ? "" : ", ") + column;
  CHECK(PQexitPipelineMode(handle_) == 1);
  const base::Status copied =
      CopyRows(base::StrCat("COPY ", table, " (", names, ") FROM STDIN"), rows);
  if (is_alive()) CHECK(PQenterPipelineMode(handle_) == 1);
  if (!copied.ok()) {
    failed_ = copied;
    if (!is_alive()) is_over_ = true;
    return copied;
  }
  return MoveCounter(table, columns);
}

base::Status Connection::CopyRows(const std::string& sql, const std::vector<Params>& rows) {
  {
    const ResultPtr begun(PQexec(handle_, sql.c_str()));
    if (PQresultStatus(begun.get()) != PGRES_COPY_IN) {
      return is_alive() ? Failure(begun.get(), sql) : Lost("copying");
    }
  }
  std::string block;
  const auto put = [&]() -> bool {
    const bool is_put = PQputCopyData(handle_, block.data(), static_cast<int>(block.size())) == 1;
    block.clear();
    return is_put;
  };
  for (const Params& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) block += '\t';
      AppendCopyField(block, row[i]);
    }
    block += '\n';
    if (block.size() >= kCopyBytesAtOnce && !put()) return Lost("copying");
  }
  if (!put() || PQputCopyEnd(handle_, nullptr) != 1) return Lost("copying");
  base::Status status;
  for (;;) {
    const ResultPtr result(PQgetResult(handle_));
    if (!result) break;
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK && status.ok()) {
      status = Failure(result.get(), sql);
    }
  }
  if (!is_alive()) return Lost("copying");
  return status;
}

// A key that counts up by itself goes on above the greatest that was copied in.
base::Status Connection::MoveCounter(std::string_view table,
                                     const std::vector<std::string>& columns) {
  auto found = counters_.find(table);
  if (found == counters_.end()) {
    ASSIGN_OR_RETURN(const auto row,
                     QueryOne("SELECT attname AS name FROM pg_attribute WHERE attrelid = "
                              "CAST(CAST($1 AS TEXT) AS regclass) AND attidentity <> ''",
                              {table}));
    found = counters_.emplace(std::string(table), row ? row->Text("name") : "").first;
  }
  const std::string& column = found->second;
  if (std::find(columns.begin(), columns.end(), column) == columns.end()) return {};
  return Execute(base::StrCat("SELECT setval(pg_get_serial_sequence('", table, "', '", column,
                              "'), (SELECT MAX(", column, ") FROM ", table, "))"))
                 .ok()
             ? base::Status()
             : failed_;
}

base::Status Connection::RunAlone(const std::string& sql) {
  Begin({sql});
  const auto done = Step("", NoRows());
  has_begun_ = false;
  if (!done.ok()) return done.error();
  return {};
}

bool Connection::WaitForNotification(int wake_fd, std::string& message) {
  while (is_alive()) {
    if (PQconsumeInput(handle_) != 1) return false;
    if (PGnotify* const notify = PQnotifies(handle_)) {
      message = notify->extra;
      PQfreemem(notify);
      return true;
    }
    pollfd waits[] = {{.fd = PQsocket(handle_), .events = POLLIN, .revents = 0},
                      {.fd = wake_fd, .events = POLLIN, .revents = 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return false;
    if (waits[1].revents != 0) return false;
  }
  return false;
}

}  // namespace tinysphere::postgres
