// ingest_1mb, ingest_100kb: how many packages a second get a signed receipt, beside how many an
// ideal writer of the same run keeps; ingest_cpu_us: what one of 100 kB costs the server's process;
// ingest_rss_mb: its memory while 1,000 connections upload.
//
//   client (1 thread) ─ prepared, signed requests ─┬▶ the server   (a process of its own)
//                                                  └▶ ideal writer (a process of its own)
//
// The two take turns, a slice each; every slice has packages never sent before.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "bench/figure.h"
#include "bench/ingest/beside.h"
#include "bench/ingest/client.h"
#include "bench/ingest/ideal_writer.h"
#include "bench/ingest/requests.h"
#include "bench/ingest/subject.h"
#include "tinysphere/access/server_keys.h"

namespace {

constexpr int kDevices = 200;
constexpr int kConnections = 64;
constexpr int kSlices = 12;
constexpr std::uint64_t kSeed = 7;

// A server in a process of its own, which ends with this one.
class Child {
 public:
  template <typename F>
  explicit Child(F serve) {
    int pipe_ends[2];
    CHECK(::pipe(pipe_ends) == 0);
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(pipe_ends[0]);
      const base::Status ended = serve([&](std::uint16_t port) {
        CHECK(::write(pipe_ends[1], &port, sizeof port) == sizeof port);
      });
      std::fprintf(stderr, "ingest_benchmark: %s\n", ended.error().message.c_str());
      ::_exit(1);
    }
    ::close(pipe_ends[1]);
    if (::read(pipe_ends[0], &port_, sizeof port_) != sizeof port_) std::exit(1);
    ::close(pipe_ends[0]);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::uint16_t port() const { return port_; }
  // Of the whole process, kernel time too.
  double CpuSeconds() const {
    clockid_t clock{};
    CHECK(::clock_getcpuclockid(pid_, &clock) == 0);
    timespec now{};
    CHECK(::clock_gettime(clock, &now) == 0);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  // From now on VmHWM is that of what comes (proc(5), clear_refs).
  void ForgetPeak() const { std::ofstream(base::StrCat("/proc/", pid_, "/clear_refs")) << 5; }
  // VmRSS or VmHWM of /proc/PID/status, megabytes (1e6).
  double Megabytes(const std::string& field) const {
    std::ifstream file(base::StrCat("/proc/", pid_, "/status"));
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(field + ":")) {
        return std::strtod(line.c_str() + field.size() + 1, nullptr) * 1024 / 1e6;
      }
    }
    return std::nan("");
  }

 private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

struct Slice {
  double per_second = 0;
  double cpu_us = 0;
};

Slice Measure(const Child& child, int connections, const std::vector<bench::Prepared>& requests) {
  const double cpu = child.CpuSeconds();
  const auto sent = bench::SendAll(child.port(), connections, requests, 201);
  if (!sent.ok()) {
    std::fprintf(stderr, "ingest_benchmark: %s\n", sent.error().message.c_str());
    std::exit(1);
  }
  const auto count = static_cast<double>(requests.size());
  return {.per_second = count / sent->seconds, .cpu_us = 1e6 * (child.CpuSeconds() - cpu) / count};
}

struct Compared {
  Slice subject{0, 1e300};  // The best of all slices, each figure by itself.
  Slice ideal{0, 1e300};
  std::vector<double> ratios;  // Of each pair of slices.
};

Compared Compare(const Child& subject, const Child& ideal, bench::Requests& requests, int count,
                 std::size_t bytes) {
  const auto keep = [](Slice& best, const Slice& slice) {
    best.per_second = std::max(best.per_second, slice.per_second);
    best.cpu_us = std::min(best.cpu_us, slice.cpu_us);
  };
  Compared compared;
  for (int i = 0; i <= kSlices; ++i) {
    const std::vector<bench::Prepared> prepared = requests.Make(count, bytes);
    // Who begins alternates, for what is written back from one slice falls into the next.
    std::optional<Slice> ideally;
    if (i % 2 == 0) ideally = Measure(ideal, kConnections, prepared);
    const Slice ours = Measure(subject, kConnections, prepared);
    if (!ideally) ideally = Measure(ideal, kConnections, prepared);
    std::fprintf(stderr, "ingest: %zu bytes: %.0f/s %.0f us; ideal %.0f/s %.0f us\n", bytes,
                 ours.per_second, ours.cpu_us, ideally->per_second, ideally->cpu_us);
    if (i == 0) continue;  // Warms both up.
    keep(compared.subject, ours);
    keep(compared.ideal, *ideally);
    compared.ratios.push_back(ours.per_second / ideally->per_second);
  }
  std::sort(compared.ratios.begin(), compared.ratios.end());
  return compared;
}

// Where there is such a server: its best of a few slices, packages a second.
void MeasureBeside(const std::string& name, const std::optional<bench::Program>& program,
                   bench::Requests& requests, int count, std::size_t bytes, int status,
                   std::vector<std::pair<std::string, double>>& beside) {
  if (!program) return;
  double best = 0;
  for (int i = 0; i < 4; ++i) {
    const auto sent =
        bench::SendAll(program->port(), kConnections, requests.Make(count, bytes), status);
    if (!sent.ok()) {
      std::fprintf(stderr, "ingest: %s: %s\n", name.c_str(), sent.error().message.c_str());
      return;
    }
    best = std::max(best, count / sent->seconds);
  }
  beside.emplace_back(name, best);
}

void PrintRatio(const std::string& name, const Compared& compared, double target,
                std::vector<std::pair<std::string, double>> beside) {
  const double ratio = compared.subject.per_second / compared.ideal.per_second;
  char conditions[400];
  std::snprintf(conditions, sizeof conditions,
                "packages a second with a signed receipt (%.0f, SQLite and folder) by those of an "
                "ideal writer (%.0f), %d connections each, best of %d slices that take turns; "
                "median of the pairs %.2f; cpu %.0f and %.0f us a package",
                compared.subject.per_second, compared.ideal.per_second, kConnections, kSlices,
                compared.ratios[compared.ratios.size() / 2], compared.subject.cpu_us,
                compared.ideal.cpu_us);
  bench::Print({.name = name,
                .value = ratio,
                .unit = "ratio",
                .better = "higher",
                .baseline = 1.0,
                .conditions = conditions,
                .low = compared.ratios.front(),
                .high = compared.ratios.back(),
                .target = base::StrCat("at least ", target),
                .met = ratio >= target,
                .beside = std::move(beside)});
}

// A thousand connections at a time, again and again for a minute: new packages in every fourth
// round, otherwise the same once more, whose answer is `duplicate`.
void PrintMemory(const Child& subject, bench::Requests& requests) {
  constexpr int kMany = 1000;
  constexpr double kSeconds = 60;
  const double before = subject.Megabytes("VmRSS");
  std::vector<bench::Prepared> prepared;
  std::vector<double> peaks;
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (int round = 0; passed() < kSeconds || round < 4; ++round) {
    const bool is_new = round % 4 == 0;
    if (is_new) prepared = requests.Make(kMany, 100'000);
    subject.ForgetPeak();
    const auto sent = bench::SendAll(subject.port(), kMany, prepared, is_new ? 201 : 200);
    if (!sent.ok()) {
      std::fprintf(stderr, "ingest_benchmark: %s\n", sent.error().message.c_str());
      std::exit(1);
    }
    peaks.push_back(subject.Megabytes("VmHWM"));
  }
  const std::size_t third = peaks.size() / 3;
  const double early = *std::max_element(peaks.begin(), peaks.begin() + static_cast<long>(third));
  const double late = *std::max_element(peaks.end() - static_cast<long>(third), peaks.end());
  const double peak = *std::max_element(peaks.begin(), peaks.end());
  const double allowed = 64 + 0.5 * kMany;
  char conditions[300];
  std::snprintf(conditions, sizeof conditions,
                "largest resident set while %d connections upload 100 kB each, %zu rounds in %.0f "
                "s; first third %.0f, last third %.0f, idle before %.0f, after %.0f",
                kMany, peaks.size(), passed(), early, late, before, subject.Megabytes("VmRSS"));
  bench::Print({.name = "ingest_rss_mb",
                .value = peak,
                .unit = "MB",
                .better = "lower",
                .baseline = allowed,
                .conditions = conditions,
                .target = base::StrCat("at most ", allowed, ", and no more at the end"),
                .met = peak <= allowed && late <= early * 1.05 + 2});
}

}  // namespace

int main(int argc, char** argv) {
  const std::string root = "build/release/bench/ingest";  // On the disk that is measured.
  std::filesystem::remove_all(root);
  std::filesystem::create_directories(root + "/ideal");
  const std::string data = root + "/data";

  const Child subject(
      [&](const auto& ready) { return bench::ServeSubject(data, kDevices, ready); });
  const Child ideal([&](const auto& ready) -> base::Status {
    bench::IdealWriter writer(root + "/ideal");
    RETURN_IF_ERROR(writer.Start());
    ready(writer.port());
    for (;;) ::pause();
  });
  const auto keys =
      tinysphere::access::LoadOrMakeServerKeys(base::SystemFileSystem(), data + "/keys");
  CHECK(keys.ok());
  bench::Requests requests({.fingerprint = keys->fingerprint(), .nonce_key = keys->nonce_key},
                           kDevices, kSeed);

  const auto is_wanted = [&](const std::string& name) {
    if (argc < 2) return true;
    return std::any_of(argv + 1, argv + argc,
                       [&](const char* asked) { return name.starts_with(asked); });
  };
  // What others do with an upload: neither flushed nor hashed, so only for the reader's eye.
  const std::optional<bench::Program> nginx = bench::StartNginx(root + "/nginx");
  const char* python = std::getenv("BENCH_FASTAPI_PYTHON");
  const std::optional<bench::Program> fastapi =
      bench::StartFastApi(python == nullptr ? "" : python, root + "/fastapi");
  if (!nginx) std::fprintf(stderr, "ingest: no nginx here, so none beside\n");
  if (!fastapi) std::fprintf(stderr, "ingest: no FastAPI (BENCH_FASTAPI_PYTHON), so none beside\n");
  const auto beside = [&](int count, std::size_t bytes) {
    std::vector<std::pair<std::string, double>> figures;
    MeasureBeside("nginx_put_per_s", nginx, requests, count, bytes, 201, figures);
    MeasureBeside("fastapi_per_s", fastapi, requests, count, bytes, 201, figures);
    return figures;
  };

  if (is_wanted("ingest_100kb") || is_wanted("ingest_cpu_us")) {
    const Compared small = Compare(subject, ideal, requests, 500, 100'000);
    PrintRatio("ingest_100kb", small, 0.8, beside(500, 100'000));
    bench::Print({.name = "ingest_cpu_us",
                  .value = small.subject.cpu_us,
                  .unit = "us",
                  .better = "lower",
                  .baseline = small.ideal.cpu_us,
                  .conditions = "processor time of the server's process, kernel included, a "
                                "package of 100 kB without TLS, durable; baseline the ideal "
                                "writer's",
                  .target = "at most 300",
                  .met = small.subject.cpu_us <= 300});
  }
  if (is_wanted("ingest_1mb")) {
    PrintRatio("ingest_1mb", Compare(subject, ideal, requests, 96, 1'000'000), 0.9,
               beside(96, 1'000'000));
  }
  if (is_wanted("ingest_rss_mb")) PrintMemory(subject, requests);
  std::filesystem::remove_all(root);
  return 0;
}
