// Every GET of the API is asked of a PostgreSQL with a million packages, metrics, jobs and names
// and a hundred thousand of everything else; then the planner says how it would answer each query
// that was made. A table that grows with the fleet and is read from end to end fails the test.
// Rows are made by generate_series from the tables' own columns, so a table that is new is
// filled, and its queries looked at, without a word here.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "base/crypto.h"
#include "base/text.h"
#include "tests/support/postgres.h"
#include "tinysphere/command/installation.h"
#include "tinysphere/command/sphere.h"
#include "tinysphere/http/page.h"

namespace tinysphere::command {
namespace {

using store::Params;
using store::Row;
using store::Rows;
using store::Transaction;

constexpr std::int64_t kDevices = 1000;
// Tables of one row a device or fewer, and those that a person writes line by line: reading them
// whole is what an overview does.
const std::set<std::string, std::less<>> kSmall = {
    "devices",       "device_keys",   "users",          "sessions",        "api_tokens",
    "enroll_tokens", "audit",         "publishers",     "settings",        "preauthorised",
    "counters",      "models",        "bundles",        "rollouts",        "model_versions",
    "migrations",    "experiments",   "package_counts", "mlflow_versions", "rollout_proposals",
    "datasets",      "legacy_tokens", "drift_periods"};
const std::set<std::string, std::less<>> kMillion = {"packages", "package_names", "metrics_points",
                                                     "jobs"};

// Counts of the overview over what events and people bring, which no index makes shorter.
constexpr std::string_view kCounts[] = {
    "SELECT COUNT(*) AS n FROM (SELECT DISTINCT event_id, sample_id FROM verdicts",
    "SELECT COUNT(*) AS n FROM feedback WHERE state",
    "SELECT state, COUNT(*) AS n FROM drift_events", "SELECT state, COUNT(*) AS n FROM outbox"};

bool IsCount(const std::string& sql) {
  return std::any_of(std::begin(kCounts), std::end(kCounts),
                     [&](std::string_view count) { return sql.starts_with(count); });
}

// Remembers each query with the parameters it was first made with.
class Recorder final : public store::Database {
 public:
  explicit Recorder(std::unique_ptr<store::Database> inner) : inner_(std::move(inner)) {}
  store::Dialect dialect() const override { return inner_->dialect(); }
  base::Result<std::unique_ptr<store::Listening>> Listen(std::string_view channel,
                                                         Heard heard) override {
    return inner_->Listen(channel, std::move(heard));
  }
  store::Database& inner() { return *inner_; }
  std::map<std::string, Params> queries() {
    const std::lock_guard lock(mutex_);
    return queries_;
  }

 protected:
  base::Status RunWrite(const Work& work) override {
    return inner_->Write([&](Transaction& transaction) { return Run(transaction, work); });
  }
  base::Status RunWriteBeside(const Work& work, store::Durability durability) override {
    return inner_->WriteBeside([&](Transaction& transaction) { return Run(transaction, work); },
                               durability);
  }
  base::Status RunRead(const Work& work) override {
    return inner_->Read([&](Transaction& transaction) { return Run(transaction, work); });
  }

 private:
  class Recorded final : public Transaction {
   public:
    Recorded(Transaction& inner, Recorder& recorder) : inner_(inner), recorder_(recorder) {}
    using Transaction::Execute;
    using Transaction::Query;
    base::Result<Rows> Query(std::string_view sql, const Params& params) override {
      {
        const std::lock_guard lock(recorder_.mutex_);
        recorder_.queries_.emplace(sql, params);
      }
      return inner_.Query(sql, params);
    }
    base::Result<std::int64_t> Execute(std::string_view sql, const Params& params) override {
      return inner_.Execute(sql, params);
    }
    base::Status ExecuteMany(std::string_view sql, const std::vector<Params>& rows) override {
      return inner_.ExecuteMany(sql, rows);
    }
    base::Status CopyIn(std::string_view table, const std::vector<std::string>& columns,
                        const std::vector<Params>& rows) override {
      return inner_.CopyIn(table, columns, rows);
    }
    base::Status Notify(std::string_view channel, std::string_view message) override {
      return inner_.Notify(channel, message);
    }
    store::Dialect dialect() const override { return inner_.dialect(); }

   private:
    Transaction& inner_;
    Recorder& recorder_;
  };

  base::Status Run(Transaction& transaction, const Work& work) {
    Recorded recorded(transaction, *this);
    return work(recorded);
  }

  std::unique_ptr<store::Database> inner_;
  std::mutex mutex_;
  std::map<std::string, Params> queries_;
};

// What generate_series(1, n) AS i makes of a column.
std::string Expression(const std::string& column, const std::string& type, std::int64_t now) {
  if (column == "device_id") return base::StrCat("'d-' || (i % ", kDevices, ")");
  if (column == "state") {
    return "CASE WHEN i % 100 > 0 THEN 'done' ELSE (ARRAY['open', 'waiting', 'failed', 'running', "
           "'pending', 'set_aside', 'stored'])[1 + (i / 100) % 7] END";
  }
  if (column == "is_current") return "1";
  if (column == "type") return "'metrics'";
  static const std::set<std::string, std::less<>> kDocuments = {
      "document", "manifest", "reference", "desired", "metrics",  "judgement",
      "steps",    "profile",  "target",    "aliases", "progress", "neighbours"};
  if (kDocuments.contains(column)) return "'{}'";
  if (column == "at" || column == "day" || column.ends_with("_at")) {
    // A second apart up to now, in the order of i.
    return base::StrCat(now, " - (1000001 - i) * 1000");
  }
  if (type == "double precision") return "i * 0.001";
  if (type == "bytea") return "'\\x00'::bytea";
  if (type == "bigint" || type == "integer") return "i";
  return base::StrCat("'", column, "-' || i");
}

class Explain : public testing::Test {
 protected:
  void SetUp() override {
    server_ = tests::PostgresDatabase::Make();
    if (!server_) GTEST_SKIP() << tests::kNoPostgres;
    folder_ = testing::TempDir() + "explain_" + base::RandomHex(6);
    auto opened = Open({.data = folder_, .database = server_->url(), .objects = ""},
                       /*may_make=*/true, /*is_server=*/true);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    installation_ = std::move(opened).value();
    auto recorder = std::make_unique<Recorder>(std::move(installation_->database));
    recorder_ = recorder.get();
    installation_->database = std::move(recorder);
  }
  void TearDown() override {
    installation_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  // A column that counts up by itself does so.
  void Fill() {
    // Fewer while one works on a query.
    const char* const given = std::getenv("TINYSPHERE_TEST_ROWS");
    const std::int64_t most = given == nullptr ? 1'000'000 : base::ParseInt(given).value();
    const std::int64_t now = base::SystemClock().Now().time_since_epoch().count();
    const Rows tables =
        recorder_->inner()
            .Query(
                "SELECT CAST(c.relname AS TEXT) AS name FROM pg_class c JOIN pg_namespace n ON "
                "n.oid = c.relnamespace WHERE n.nspname = 'public' AND NOT c.relispartition "
                "AND c.relkind IN ('r', 'p') AND c.relname NOT IN ('migrations', 'settings') "
                "ORDER BY c.relname")
            .value();
    for (const Row& table : tables) {
      const std::string name = table.Text("name");
      const Rows columns = recorder_->inner()
                               .Query(
                                   "SELECT CAST(column_name AS TEXT) AS name, "
                                   "CAST(data_type AS TEXT) AS type FROM "
                                   "information_schema.columns WHERE table_schema = 'public' "
                                   "AND table_name = $1 AND is_identity = 'NO'",
                                   {name})
                               .value();
      std::string names;
      std::string values;
      for (const Row& column : columns) {
        names += (names.empty() ? "" : ", ") + column.Text("name");
        values += (values.empty() ? "" : ", ") +
                  Expression(column.Text("name"), column.Text("type"), now);
      }
      const std::int64_t rows = kMillion.contains(name) ? most
                                : kSmall.contains(name) ? kDevices
                                                        : most / 10;
      const auto filled = recorder_->inner().Execute(base::StrCat(
          "INSERT INTO ", name, " (", names, ") SELECT ", values,
          " FROM generate_series(CAST(1 AS BIGINT), ", rows, ") AS i ON CONFLICT DO NOTHING"));
      ASSERT_TRUE(filled.ok()) << filled.error().message;
      // One row a device, where that is its key.
      if (*filled > kDevices) large_.insert(name);
    }
    server_->Run("VACUUM ANALYZE");
    // Parts of months, as far as there is something in them.
    const Rows parts = recorder_->inner()
                           .Query(
                               "SELECT CAST(relname AS TEXT) AS name FROM pg_class WHERE "
                               "relispartition AND reltuples > $1",
                               {kDevices})
                           .value();
    for (const Row& part : parts) large_.insert(part.Text("name"));
  }

  // The table of "Seq Scan on packages_2026_11 p", by its parent's name; "" if it may be read
  // whole.
  std::string LargeTableIn(const std::string& line) {
    const std::size_t scan = line.find("Seq Scan on ");
    if (scan == std::string::npos) return "";
    std::string table = line.substr(scan + 12);
    table = table.substr(0, table.find(' '));
    return large_.contains(table) ? table : "";
  }

  std::string folder_;
  std::unique_ptr<tests::PostgresDatabase> server_;
  std::unique_ptr<Installation> installation_;
  Recorder* recorder_ = nullptr;
  std::set<std::string, std::less<>> large_;
};

TEST_F(Explain, NoQueryOfTheApiReadsALargeTableFromEndToEnd) {
  Fill();
  if (HasFatalFailure()) return;
  Sphere sphere(*installation_,
                {.spool = folder_ + "/spool",
                 .uploads = folder_ + "/uploads",
                 .tls_pin = "",
                 .judging = {.folder = folder_ + "/judging"},
                 .tinylcm = ""},
                base::StderrLogger());
  const std::int64_t now = base::SystemClock().Now().time_since_epoch().count();
  // Lists are asked for whole, filtered, and from the middle.
  const std::string middle = http::WriteCursor({.number = now - 500'000'000, .text = "5"});
  const std::vector<std::map<std::string, std::string, std::less<>>> variants = {
      {},
      {{"device", "d-7"}},
      {{"state", "open"}},
      {{"state", "failed"}},
      {{"cursor", middle}},
      {{"device", "d-7"}, {"cursor", middle}}};
  int routes = 0;
  sphere.router.ForEachRoute([&](const http::Route& route) {
    if (route.method != http::Method::kGet || route.path == "/api/v1/events") return;
    // The pages of the prototype's dashboard count everything, and keep it for a minute.
    if (!route.path.starts_with("/api/v1/")) return;
    ++routes;
    for (const auto& variant : variants) {
      http::Request request;
      request.method = http::Method::kGet;
      request.path = request.raw_path = route.path;
      request.query = variant;
      request.peer = {.address = "127.0.0.1", .is_loopback = true, .is_secure = true};
      const bool is_device = route.access == http::Access::kDevice;
      request.identity = {
          .kind = is_device ? http::Identity::Kind::kDevice : http::Identity::Kind::kPerson,
          .id = is_device ? "d-7" : "ann",
          .role = http::Role::kAdmin,
          .session_id = "",
          .nonce = ""};
      for (std::size_t open = route.path.find('{'); open != std::string::npos;
           open = route.path.find('{', open + 1)) {
        const std::string name =
            route.path.substr(open + 1, route.path.find_first_of(".}", open) - open - 1);
        // An id that is there, as Fill makes them.
        request.params[name] = name == "device_id" ? "d-7" : name + "-700";
      }
      const auto answer = route.handler(request);
      if (!answer.ok()) {
        EXPECT_NE(answer.error().code, base::ErrorCode::kInternal)
            << route.path << ": " << answer.error().message;
      }
    }
  });

  const auto queries = recorder_->queries();
  EXPECT_GE(routes, 20);
  EXPECT_GE(queries.size(), 40u);
  int scans = 0;
  for (const auto& [sql, params] : queries) {
    if (!sql.starts_with("SELECT") || IsCount(sql) || sql.find("pg_class") != std::string::npos)
      continue;
    const auto plan = recorder_->inner().Query("EXPLAIN " + sql, params);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    std::string text;
    std::string table;
    for (const Row& row : *plan) {
      const std::string line = row.Text("QUERY PLAN");
      text += line + "\n";
      if (table.empty()) table = LargeTableIn(line);
    }
    if (table.empty()) continue;
    ++scans;
    ADD_FAILURE() << "reads " << table << " from end to end:\n" << sql << "\n" << text;
  }
  std::printf("%d routes, %zu queries, %d of them read a large table whole\n", routes,
              queries.size(), scans);
}

}  // namespace
}  // namespace tinysphere::command
