// What does the whole agent cost as a process, beside a bare program with the same model?
//
//   agent_start_benchmark|agent_memory_benchmark|agent_written_benchmark BIN FOLDER
//
// BIN: tinylcm, bare_litert and bare_litert_linked. FOLDER: as bench_bundle made it. The real
// `tinylcm run` is fed raw pictures through a FIFO.
//
//   start    processor time from the process's start to its first answer, and the wall's
//   memory   private pages of the running agent minus those of the bare program, which is linked
//            with the same libraries
//   written  bytes written and files made by 1,000 frames

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/model/litert.h"

extern char** environ;

namespace {

namespace fs = std::filesystem;
using base::StrCat;
using SteadyClock = std::chrono::steady_clock;

constexpr int kStarts = 15;
constexpr char kAnswered[] = "first frame is answered";

// A child whose stdin we hold and whose stdout and stderr we read.
class Child {
 public:
  explicit Child(const std::vector<std::string>& arguments) : began_(SteadyClock::now()) {
    int in[2], out[2];
    CHECK(::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 2);
    std::vector<char*> argv;
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.data()));
    argv.push_back(nullptr);
    CHECK(::posix_spawn(&id_, argv[0], &actions, nullptr, argv.data(), environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    in_ = in[1];
    out_ = out[0];
  }
  ~Child() { End(SIGKILL); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Until the child says it; seconds since its start.
  double WaitFor(const std::string& text) {
    char block[4096];
    while (said_.find(text) == std::string::npos) {
      const ssize_t count = ::read(out_, block, sizeof block);
      if (count <= 0) {
        std::fprintf(stderr, "agent_benchmark: the child ended: %s\n", said_.c_str());
        std::exit(1);
      }
      said_.append(block, static_cast<std::size_t>(count));
    }
    return std::chrono::duration<double>(SteadyClock::now() - began_).count();
  }

  void Write(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t count = ::write(in_, bytes.data() + at, bytes.size() - at);
      CHECK(count > 0);
      at += static_cast<std::size_t>(count);
    }
  }

  // Processor time of all its threads that live, nanoseconds.
  double CpuNanoseconds() const {
    double sum = 0.0;
    for (const auto& task : fs::directory_iterator(Proc("task"))) {
      std::ifstream file(task.path() / "schedstat");
      double spent = 0.0;
      file >> spent;
      sum += spent;
    }
    return sum;
  }

  // "Private_Dirty" and others of smaps_rollup, "wchar" of io.
  double Number(const std::string& of, const std::string& name) const {
    std::ifstream file(Proc(of));
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1));
    }
    std::fprintf(stderr, "agent_benchmark: no %s in %s\n", name.c_str(), Proc(of).c_str());
    std::exit(1);
  }
  double PrivateMegabytes() const {
    return (Number("smaps_rollup", "Private_Dirty") + Number("smaps_rollup", "Private_Clean")) /
           1024.0;
  }

  // With `signal`, or, 0, by the end of its stdin.
  void End(int signal) {
    if (id_ == 0) return;
    ::close(in_);
    if (signal != 0) ::kill(id_, signal);
    char block[4096];
    while (::read(out_, block, sizeof block) > 0) {
    }
    ::close(out_);
    int status = 0;
    ::waitpid(id_, &status, 0);
    id_ = 0;
  }

 private:
  std::string Proc(const std::string& name) const { return StrCat("/proc/", id_, "/", name); }

  SteadyClock::time_point began_;
  pid_t id_ = 0;
  int in_ = -1;
  int out_ = -1;
  std::string said_;
};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  CHECK(file.good());
  return text.str();
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// A camera made of one raw picture, given again and again at the pace of somebody who waits.
class Camera {
 public:
  explicit Camera(const std::string& folder)
      : picture_(ReadAll(folder + "/picture.rgb")), path_(folder + "/camera.fifo") {
    ::unlink(path_.c_str());
    CHECK(::mkfifo(path_.c_str(), 0600) == 0);
    // Read and write, so that it opens without a reader and never ends.
    fifo_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    CHECK(fifo_ >= 0);
  }
  ~Camera() { ::close(fifo_); }

  const std::string& path() const { return path_; }
  const std::string& picture() const { return picture_; }
  void Give(int frames, std::chrono::microseconds pause) {
    for (int i = 0; i < frames; ++i) {
      for (std::size_t at = 0; at < picture_.size();) {
        const ssize_t count = ::write(fifo_, picture_.data() + at, picture_.size() - at);
        CHECK(count > 0);
        at += static_cast<std::size_t>(count);
      }
      std::this_thread::sleep_for(pause);
    }
  }

 private:
  std::string picture_;
  std::string path_;
  int fifo_ = -1;
};

constexpr std::chrono::microseconds kPause{6000};
constexpr int kHealthy = 60;  // More than the frames after which a start counts as one.

struct Bench {
  std::string bin;
  std::string folder;
  int side = 0;

  void WriteConfig(const std::string& name, const std::string& source) const {
    std::ofstream(folder + "/" + name)
        << "{\"name\": \"bench\", \"data\": \"" << folder << "/data\", \"bundle\": \"" << folder
        << "/bundle\", \"source\": " << source << "}\n";
  }
  std::string OpenCamera(const Camera& camera) const {
    WriteConfig("device.json", StrCat("{\"kind\": \"camera\", \"path\": \"", camera.path(),
                                      "\", \"format\": \"rgb24\", \"width\": ", side,
                                      ", \"height\": ", side, "}"));
    return folder + "/device.json";
  }
  std::vector<std::string> AgentArguments(const std::string& config) const {
    return {bin + "/tinylcm", "run", "--config", config};
  }
  Child Agent(const std::string& config) const { return Child(AgentArguments(config)); }
  Child Bare(const std::string& program) const {
    const auto library = tinylcm::model::FindLiteRt();
    CHECK(library.ok());
    return Child({bin + "/" + program, *library, folder + "/bundle/model.tflite",
                  folder + "/picture.rgb", "--stay"});
  }
};

void Start(const Bench& bench) {
  Camera camera(bench.folder);
  const std::string config = bench.OpenCamera(camera);
  std::vector<double> agent_cpu, agent_wall, bare_cpu, bare_wall;
  for (int i = 0; i <= kStarts; ++i) {
    std::thread first([&] { camera.Give(1, std::chrono::microseconds{0}); });
    Child agent = bench.Agent(config);
    const double agent_s = agent.WaitFor(kAnswered);
    const double agent_ns = agent.CpuNanoseconds();
    first.join();
    camera.Give(kHealthy, kPause);
    agent.End(SIGTERM);

    Child bare = bench.Bare("bare_litert");
    const double bare_s = bare.WaitFor("answered");
    const double bare_ns = bare.CpuNanoseconds();
    bare.End(0);
    if (i == 0) continue;  // The first start installs the bundle and makes the folders.
    agent_cpu.push_back(agent_ns / 1e6);
    agent_wall.push_back(agent_s * 1e3);
    bare_cpu.push_back(bare_ns / 1e6);
    bare_wall.push_back(bare_s * 1e3);
  }
  bench::Print({.name = "start_to_first_prediction",
                .value = Median(agent_cpu) / Median(bare_cpu),
                .unit = "ratio",
                .baseline = 1.0,
                .conditions = StrCat("processor time from exec to the first answer, medians of ",
                                     kStarts, " starts taking turns: tinylcm run ",
                                     base::FormatShort(Median(agent_cpu)), " ms, bare LiteRT ",
                                     base::FormatShort(Median(bare_cpu)), " ms; wall ",
                                     base::FormatShort(Median(agent_wall)), " and ",
                                     base::FormatShort(Median(bare_wall)), " ms; raw frame of ",
                                     bench.side, "x", bench.side)});
}

// 16 channels, four classes around one on four of them each; always the same ten thousand.
std::string Rows(bool has_labels) {
  base::Random random(3);
  std::string text;
  for (int i = 0; i < 10'000; ++i) {
    const int label = i % 4;
    for (int channel = 0; channel < 16; ++channel) {
      const double value = (channel / 4 == label ? 1.0 : 0.0) + 0.25 * random.Normal();
      text += StrCat(channel == 0 ? "" : ",", std::round(1000.0 * value) / 1000.0);
    }
    text += has_labels ? StrCat(",", label, "\n") : "\n";
  }
  return text;
}

struct Growth {
  double megabytes = 0.0;
  double seconds = 0.0;
};

// From a hundred thousand rows to a million, the same device running on.
Growth Grow(const Bench& bench) {
  std::string header;
  for (int channel = 0; channel < 16; ++channel)
    header += StrCat(channel == 0 ? "" : ",", "c", channel);
  std::ofstream(bench.folder + "/rows.csv") << header << ",label\n" << Rows(true);
  Child fit({bench.bin + "/tinylcm", "fit", "--rows", bench.folder + "/rows.csv", "--label-column",
             "label", "--out", bench.folder + "/rows", "--standardise", "--name", "rows", "--seed",
             "1"});
  fit.End(0);
  std::ofstream(bench.folder + "/rows.json")
      << "{\"name\": \"rows\", \"data\": \"" << bench.folder << "/rows_data\", \"bundle\": \""
      << bench.folder << "/rows\", \"source\": {\"kind\": \"rows\", \"path\": \"-\"}}\n";
  fs::remove_all(bench.folder + "/rows_data");
  const std::string block = Rows(false);
  Child agent(bench.AgentArguments(bench.folder + "/rows.json"));
  agent.Write(header + "\n");
  const auto began = SteadyClock::now();
  double early = 0.0;
  for (int blocks = 1; blocks <= 100; ++blocks) {
    agent.Write(block);
    if (blocks == 10) early = agent.PrivateMegabytes();
  }
  const Growth grown{.megabytes = agent.PrivateMegabytes() - early,
                     .seconds = std::chrono::duration<double>(SteadyClock::now() - began).count()};
  agent.End(0);
  return grown;
}

struct Held {
  explicit Held(const Child& child)
      : dirty(child.Number("smaps_rollup", "Private_Dirty") / 1024.0),
        clean(child.Number("smaps_rollup", "Private_Clean") / 1024.0),
        pss(child.Number("smaps_rollup", "Pss") / 1024.0) {}
  double dirty;
  double clean;
  double pss;
};

// One after the other: pages that both map would be nobody's own.
void Memory(const Bench& bench) {
  Child bare = bench.Bare("bare_litert_linked");
  bare.WaitFor("answered");
  const Held theirs(bare);
  bare.End(0);

  Camera camera(bench.folder);
  const std::string config = bench.OpenCamera(camera);
  std::thread first([&] { camera.Give(1, std::chrono::microseconds{0}); });
  Child agent = bench.Agent(config);
  agent.WaitFor(kAnswered);
  first.join();
  camera.Give(1000, 2 * kPause);  // Commissions the drift monitor and saves what it learned.
  const Held ours(agent);
  agent.End(SIGTERM);

  const Growth grown = Grow(bench);
  using base::FormatShort;
  bench::Print(
      {.name = "agent_memory",
       .value = ours.dirty + ours.clean - theirs.dirty - theirs.clean,
       .unit = "MB",
       .baseline = theirs.dirty + theirs.clean,
       .conditions = StrCat(
           "private pages after 1,001 frames minus those of a bare program with the same libraries "
           "and model, one after the other; dirty ",
           FormatShort(ours.dirty), " and ", FormatShort(theirs.dirty), ", clean ",
           FormatShort(ours.clean), " and ", FormatShort(theirs.clean), ", PSS ",
           FormatShort(ours.pss), " and ", FormatShort(theirs.pss),
           " MB; not enrolled; raw frames of ", bench.side, "x", bench.side,
           "; a device for rows grew by ", FormatShort(grown.megabytes),
           " MB from row 100,000 to row 1,000,000, in ", FormatShort(grown.seconds), " s")});
}

std::map<std::string, fs::file_time_type> Files(const std::string& folder) {
  std::map<std::string, fs::file_time_type> files;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) files[file.path()] = file.last_write_time();
  }
  return files;
}

void Written(const Bench& bench) {
  constexpr int kFrames = 1000;
  Camera camera(bench.folder);
  const std::string config = bench.OpenCamera(camera);
  std::map<std::string, fs::file_time_type> before;
  const auto start = [&] {
    std::thread first([&] { camera.Give(1, std::chrono::microseconds{0}); });
    auto agent = std::make_unique<Child>(bench.AgentArguments(config));
    agent->WaitFor(kAnswered);
    first.join();
    return agent;
  };
  {
    // The first start installs the bundle and makes the folders.
    const auto agent = start();
    camera.Give(kHealthy, kPause);
    agent->End(SIGTERM);
    before = Files(bench.folder + "/data");
  }
  const auto running = start();
  Child& agent = *running;
  std::this_thread::sleep_for(std::chrono::seconds(2));  // What a start writes is not a frame's.
  const double bytes_before = agent.Number("io", "wchar");
  const auto began = SteadyClock::now();
  camera.Give(kFrames, kPause);
  std::this_thread::sleep_for(std::chrono::seconds(2));  // The last second is flushed.
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - began).count();
  const double bytes = agent.Number("io", "wchar") - bytes_before;
  std::string names;
  int made = 0;
  for (const auto& [path, when] : Files(bench.folder + "/data")) {
    if (before.contains(path)) continue;
    ++made;
    names += (names.empty() ? "" : ", ") + path.substr(bench.folder.size() + 6);
  }
  agent.End(SIGTERM);
  const std::string conditions =
      StrCat("default policy, raw frames of ", bench.side, "x", bench.side, ", ",
             base::FormatShort(seconds),
             " s; every byte the process wrote, status and state "
             "included; new files: ",
             names.empty() ? "none" : names, "; baseline: the prototype's 1,000 frames");
  bench::Print({.name = "log_1000_frames.bytes",
                .value = bytes,
                .unit = "bytes",
                .baseline = 6.6e6 + 2.6e6,
                .conditions = conditions});
  bench::Print({.name = "log_1000_frames.files",
                .value = static_cast<double>(made),
                .unit = "files",
                .baseline = 2000,
                .conditions = conditions});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "agent_" BENCH_WHAT "_benchmark BIN FOLDER\n");
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  Bench bench{.bin = fs::absolute(argv[1]), .folder = fs::absolute(argv[2])};
  const auto bytes = fs::file_size(bench.folder + "/picture.rgb");
  while (static_cast<std::size_t>(3 * bench.side * bench.side) < bytes) ++bench.side;
  fs::remove_all(bench.folder + "/data");
  const std::string what = BENCH_WHAT;
  if (what == "start") {
    Start(bench);
  } else if (what == "memory") {
    Memory(bench);
  } else {
    Written(bench);
  }
  return 0;
}
