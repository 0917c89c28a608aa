#include "tinysphere/platform/postgres/postgres_database.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "tinysphere/platform/postgres/connection.h"
#include "tinysphere/store/listeners.h"

namespace tinysphere::postgres {

using base::Error;
using base::ErrorCode;

namespace {

// Any number, the same in every process: "tinysphe".
constexpr std::string_view kTakeWriterLock = "SELECT pg_advisory_xact_lock(8388358723129862245)";
constexpr int kTriesMax = 5;
constexpr std::chrono::milliseconds kListenAgain{1'000};

// Sessions that are opened when they are first needed.
class Pool {
 public:
  Pool(ConnectionOptions options, int size) : options_(std::move(options)), left_(size) {}

  std::unique_ptr<Connection> Take() {
    std::unique_lock lock(mutex_);
    is_idle_.wait(lock, [&] { return !idle_.empty() || left_ > 0; });
    if (idle_.empty()) {
      left_ -= 1;
      return std::make_unique<Connection>(options_);
    }
    auto taken = std::move(idle_.back());
    idle_.pop_back();
    return taken;
  }

  void Return(std::unique_ptr<Connection> connection) {
    {
      const std::lock_guard lock(mutex_);
      idle_.push_back(std::move(connection));
    }
    is_idle_.notify_one();
  }

 private:
  ConnectionOptions options_;
  std::mutex mutex_;
  std::condition_variable is_idle_;
  std::vector<std::unique_ptr<Connection>> idle_;
  int left_;
};

ConnectionOptions Session(const Options& options, const char* name,
                          std::vector<std::string> settings) {
  settings.push_back(base::StrCat("SET lock_timeout = ", options.wait_for_lock_max.count()));
  return {.url = options.url, .application_name = name, .settings = std::move(settings)};
}

// Hears what the server passes on, for as long as somebody listens.
class Ear {
 public:
  explicit Ear(ConnectionOptions options) : connection_(std::move(options)) {}
  ~Ear() {
    if (!thread_.joinable()) {
      if (wake_ >= 0) close(wake_);
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    changed_.notify_all();
    const std::uint64_t one = 1;
    (void)!write(wake_, &one, sizeof one);
    thread_.join();
    close(wake_);
  }
  Ear(const Ear&) = delete;
  Ear& operator=(const Ear&) = delete;

  base::Result<std::unique_ptr<store::Listening>> Listen(std::string_view channel,
                                                         store::Database::Heard heard) {
    const std::lock_guard lock(start_mutex_);
    if (!thread_.joinable()) {
      // Here, so that what is said from now on is heard.
      RETURN_IF_ERROR(connection_.RunAlone("LISTEN tinysphere"));
      if (wake_ < 0) wake_ = eventfd(0, EFD_CLOEXEC);
      if (wake_ < 0) return Error{ErrorCode::kExhausted, "database: no file descriptor is left"};
      thread_ = std::thread([this] { Loop(); });
    }
    return listeners_.Add(channel, std::move(heard));
  }

 private:
  bool IsStopping() {
    const std::lock_guard lock(mutex_);
    return is_stopping_;
  }

  void Loop() {
    while (!IsStopping()) {
      std::string message;
      if (connection_.WaitForNotification(wake_, message)) {
        const std::size_t end = message.find('\n');
        if (end != std::string::npos) {
          listeners_.Tell(message.substr(0, end), message.substr(end + 1));
        }
        continue;
      }
      while (!IsStopping() && !connection_.RunAlone("LISTEN tinysphere").ok()) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, kListenAgain, [&] { return is_stopping_; });
      }
      if (!IsStopping()) listeners_.TellAll();
    }
  }

  Connection connection_;  // The thread's, once it runs.
  store::Listeners listeners_;
  std::mutex start_mutex_;
  std::thread thread_;
  int wake_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;
};

class PostgresDatabase final : public store::Database {
 public:
  explicit PostgresDatabase(const Options& options)
      : options_(options),
        write_connection_(Session(options, "tinysphere writer", {})),
        readers_(Session(options, "tinysphere reader",
                         {base::StrCat("SET statement_timeout = ", options.read_max.count())}),
                 options.readers),
        besides_(Session(options, "tinysphere", {}), options.besides),
        ear_(Session(options, "tinysphere listener", {})) {}

  ~PostgresDatabase() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake_writer_.notify_all();
    if (writer_.joinable()) writer_.join();
  }

  base::Status Open() {
    RETURN_IF_ERROR(NameOf(options_.url));
    RETURN_IF_ERROR(write_connection_.Connect());
    writer_ = std::thread([this] { WriteLoop(); });
    return {};
  }

  store::Dialect dialect() const override { return store::Dialect::kPostgres; }

  base::Result<std::unique_ptr<store::Listening>> Listen(std::string_view channel,
                                                         Heard heard) override {
    return ear_.Listen(channel, std::move(heard));
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

  base::Status RunWriteBeside(const Work& work, store::Durability durability) override {
    std::vector<std::string> begin = {"BEGIN"};
    if (durability == store::Durability::kSoon) {
      begin.emplace_back("SET LOCAL synchronous_commit = off");
    }
    const auto begun = std::chrono::steady_clock::now();
    std::unique_ptr<Connection> session = besides_.Take();
    base::Status status;
    for (int tries = 0; tries < kTriesMax; ++tries) {
      session->Begin(begin);
      status = RunIn(*session, work);
      if (status.ok() || !session->may_be_run_again()) break;
    }
    besides_.Return(std::move(session));
    if (status.ok()) TellCommitted(1, std::chrono::steady_clock::now() - begun);
    return status;
  }

  base::Status RunRead(const Work& work) override {
    std::unique_ptr<Connection> session = readers_.Take();
    session->Begin({"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"});
    base::Status status = RunIn(*session, work);
    readers_.Return(std::move(session));
    return status;
  }

 private:
  struct Waiting {
    const Work* work = nullptr;
    base::Status status{};
    bool is_done = false;
  };

  // The work as a whole transaction.
  static base::Status RunIn(Connection& session, const Work& work) {
    base::Status status = work(session);
    // A work that looks past a failed statement has no transaction any more.
    if (status.ok()) status = session.failed();
    if (status.ok()) status = session.Commit();
    if (!status.ok()) session.RollBack();
    return status;
  }

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
      if (WriteBatch(batch)) TellCommitted(batch.size(), std::chrono::steady_clock::now() - begun);
      lock.lock();
      for (Waiting* waiting : batch) waiting->is_done = true;
      written_.notify_all();
    }
  }

  // All in one transaction: an error inside one work undoes that work, a failed commit all of them.
  // True if it was committed.
  bool WriteBatch(const std::vector<Waiting*>& batch) {
    write_connection_.Begin({"BEGIN", std::string(kTakeWriterLock)});
    base::Status ended;
    for (Waiting* waiting : batch) {
      waiting->status = WriteOne(*waiting->work);
      if (write_connection_.is_over()) {
        ended = waiting->status.ok() ? write_connection_.failed() : waiting->status;
        break;
      }
    }
    if (ended.ok()) ended = write_connection_.Commit();
    if (ended.ok()) return true;
    write_connection_.RollBack();
    for (Waiting* waiting : batch) {
      if (waiting->status.ok()) waiting->status = ended;
    }
    return false;
  }

  base::Status WriteOne(const Work& work) {
    base::Status status;
    for (int tries = 0; tries < kTriesMax; ++tries) {
      write_connection_.Save();
      status = work(write_connection_);
      if (status.ok()) status = write_connection_.failed();
      if (write_connection_.is_over()) return status;
      if (status.ok()) {
        write_connection_.Release();
        return status;
      }
      write_connection_.RollBackTo();
      if (!write_connection_.may_be_run_again()) return status;
    }
    return status;
  }

  Options options_;
  Connection write_connection_;  // The writer thread's, once it runs.
  std::thread writer_;
  std::mutex mutex_;
  std::condition_variable wake_writer_;
  std::condition_variable written_;
  std::deque<Waiting*> waiting_;  // At most one a calling thread.
  bool is_stopping_ = false;

  Pool readers_;
  Pool besides_;
  Ear ear_;
};

}  // namespace

base::Result<std::unique_ptr<store::Database>> OpenDatabase(const Options& options) {
  auto database = std::make_unique<PostgresDatabase>(options);
  RETURN_IF_ERROR(database->Open());
  return std::unique_ptr<store::Database>(std::move(database));
}

}  // namespace tinysphere::postgres
