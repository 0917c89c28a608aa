// tinyscene: a camera (or a sensor array) where there is none.

#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/command_line.h"
#include "base/file_system.h"
#include "base/text.h"
#include "tools/tinyscene/export.h"
#include "tools/tinyscene/stream.h"

namespace tinyscene {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

constexpr char kProgram[] = "tinyscene";

// What the command line says; each verb uses its part.
struct Arguments {
  std::string digits = TINYSCENE_DIGITS;
  std::int64_t seed = 1;
  std::string pool = "A";
  std::int64_t unseen_class = -1;
  Drifts drifts{};
  double unseen = 0;

  std::string control;
  std::string truth;
  std::string from_truth;
  bool with_dropped = false;
  bool realtime = false;
  double fps = 0;
  std::int64_t frames = 0;
  std::string out;

  std::int64_t per_class = 0;
};

void Say(const std::string& text) { std::fprintf(stderr, "%s: %s\n", kProgram, text.c_str()); }

Result<Digits> LoadDigits(const Arguments& arguments) {
  auto text = base::ReadTextFile(base::SystemFileSystem(), arguments.digits, 4u << 20);
  if (!text.ok()) {
    return Error{ErrorCode::kInvalidArgument, StrCat("--digits: ", text.error().message)};
  }
  auto digits = Digits::Parse(*text);
  if (!digits.ok()) return digits.error().Within(arguments.digits);
  return digits;
}

Result<std::optional<int>> UnseenClass(const Arguments& arguments) {
  if (arguments.unseen_class == -1) return std::optional<int>();
  if (arguments.unseen_class < 0 || arguments.unseen_class >= kClasses) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("--unseen-class: ", arguments.unseen_class, " is not a class from 0 to 9")};
  }
  return std::optional<int>(static_cast<int>(arguments.unseen_class));
}

Result<Settings> FirstSettings(const Arguments& arguments, Kind kind) {
  Settings settings{.pool = Pool::kA, .drifts = arguments.drifts, .unseen = arguments.unseen};
  const auto pool = ParsePool(arguments.pool);
  if (!pool.ok()) return Error{ErrorCode::kInvalidArgument, "--" + pool.error().message};
  settings.pool = *pool;
  for (const NamedDrift& drift : DriftsOf(kind)) {
    RETURN_IF_ERROR(CheckStrength(StrCat("--", drift.name), settings.drifts.*drift.strength));
  }
  RETURN_IF_ERROR(CheckStrength("--unseen", settings.unseen));
  return settings;
}

// Shots as they are chosen, with the control file's word before each.
class LiveShots {
 public:
  LiveShots(const Arguments& arguments, Kind kind, const Digits& digits, const Settings& settings,
            std::optional<int> unseen_class, std::uint64_t first)
      : digits_(digits),
        seed_(static_cast<std::uint64_t>(arguments.seed)),
        unseen_class_(unseen_class),
        settings_(settings),
        next_(first),
        left_(arguments.frames > 0 ? static_cast<std::uint64_t>(arguments.frames)
                                   : std::numeric_limits<std::uint64_t>::max()) {
    if (!arguments.control.empty()) {
      control_.emplace(base::SystemFileSystem(), arguments.control, kind, settings.pool);
    }
  }

  std::optional<Shot> Next() {
    if (control_) {
      const auto changed = control_->Poll();
      if (!changed.ok()) {
        Say(changed.error().message + "; going on as before");
      } else if (changed->has_value()) {
        settings_ = **changed;
      }
    }
    if (settings_.stop || left_ == 0 || next_ > std::numeric_limits<std::uint32_t>::max()) {
      return std::nullopt;
    }
    --left_;
    return ChooseShot(digits_, seed_, static_cast<std::uint32_t>(next_++), settings_,
                      unseen_class_);
  }

 private:
  const Digits& digits_;
  std::uint64_t seed_;
  std::optional<int> unseen_class_;
  Settings settings_;
  std::optional<ControlFile> control_;
  std::uint64_t next_;
  std::uint64_t left_;
};

Result<int> Stream(const Arguments& arguments, Kind kind) {
  if (arguments.seed < 0) return Error{ErrorCode::kInvalidArgument, "--seed: is negative"};
  if (!(arguments.fps >= 0) || arguments.fps > 10000) {
    return Error{ErrorCode::kInvalidArgument, "--fps: not in 0..10000"};
  }
  if (arguments.frames < 0) return Error{ErrorCode::kInvalidArgument, "--frames: is negative"};
  if (!arguments.from_truth.empty() &&
      (arguments.from_truth == arguments.truth || !arguments.control.empty())) {
    return Error{ErrorCode::kInvalidArgument,
                 "--from-truth: cannot be had with --control or written to as --truth"};
  }
  ASSIGN_OR_RETURN(const Digits digits, LoadDigits(arguments));
  ASSIGN_OR_RETURN(const std::optional<int> unseen_class, UnseenClass(arguments));
  ASSIGN_OR_RETURN(const Settings settings, FirstSettings(arguments, kind));
  if (settings.unseen > 0 && !unseen_class) {
    return Error{ErrorCode::kInvalidArgument, "--unseen: needs --unseen-class"};
  }

  std::vector<Shot> recorded;
  if (!arguments.from_truth.empty()) {
    auto text = base::ReadTextFile(base::SystemFileSystem(), arguments.from_truth, 1u << 30);
    if (!text.ok()) {
      return Error{ErrorCode::kInvalidArgument, StrCat("--from-truth: ", text.error().message)};
    }
    auto shots = ParseTruth(*text, kind, digits);
    if (!shots.ok()) return shots.error().Within(arguments.from_truth);
    recorded = std::move(shots).value();
  }

  TakeSignals();
  std::unique_ptr<TruthFile> truth;
  std::uint64_t first = 0;
  if (!arguments.truth.empty()) {
    ASSIGN_OR_RETURN(truth, TruthFile::Open(arguments.truth, std::chrono::seconds(5)));
    if (truth->content().empty()) {
      RETURN_IF_ERROR(truth->Append(TruthHeader(kind)));
    } else {
      auto shots = ParseTruth(truth->content(), kind, digits);
      if (!shots.ok()) return shots.error().Within(arguments.truth);
      if (!shots->empty()) first = std::uint64_t{shots->back().number} + 1;
    }
  }

  const std::unique_ptr<Drawer> drawer =
      MakeDrawer(kind, static_cast<std::uint64_t>(arguments.seed), digits);
  ASSIGN_OR_RETURN(const auto output,
                   Output::Open({.path = arguments.out, .small_pipe = arguments.realtime}));
  LiveShots live(arguments, kind, digits, settings, unseen_class, first);
  std::size_t at = 0;
  const auto next = [&]() -> std::optional<Shot> {
    if (arguments.from_truth.empty()) return live.Next();
    while (at < recorded.size() && recorded[at].dropped && !arguments.with_dropped) ++at;
    if (at == recorded.size()) return std::nullopt;
    Shot shot = recorded[at++];
    shot.dropped = false;
    return shot;
  };
  const double fps = arguments.fps > 0       ? arguments.fps
                     : !arguments.realtime   ? 0
                     : kind == Kind::kCamera ? 30
                                             : 50;
  ASSIGN_OR_RETURN(const StreamSummary summary,
                   RunStream({.kind = kind, .realtime = arguments.realtime, .fps = fps}, *drawer,
                             next, *output, truth.get(), base::SystemClock()));
  Say(StrCat(summary.delivered, " delivered, ", summary.dropped, " dropped",
             summary.reader_gone ? "; the reader has gone" : ""));
  return base::kExitDone;
}

Result<int> Export(const Arguments& arguments, Kind kind) {
  if (arguments.seed < 0) return Error{ErrorCode::kInvalidArgument, "--seed: is negative"};
  if (arguments.per_class < 1 || arguments.per_class > 1'000'000) {
    return Error{ErrorCode::kInvalidArgument, "--per-class: not in 1..1000000"};
  }
  ASSIGN_OR_RETURN(const Digits digits, LoadDigits(arguments));
  ASSIGN_OR_RETURN(const std::optional<int> unseen_class, UnseenClass(arguments));
  ASSIGN_OR_RETURN(const Settings settings, FirstSettings(arguments, kind));
  const std::vector<Shot> shots =
      PlanExport(digits, settings, static_cast<std::uint32_t>(arguments.per_class), unseen_class);
  TakeSignals();
  const Progress progress = [](std::size_t done, std::size_t of) {
    if (done % 2000 == 0) Say(StrCat(done, " of ", of));
    return !StopRequested();
  };
  const auto seed = static_cast<std::uint64_t>(arguments.seed);
  if (kind == Kind::kCamera) {
    const std::unique_ptr<Drawer> drawer = MakeDrawer(kind, seed, digits);
    RETURN_IF_ERROR(
        ExportFrames(base::SystemFileSystem(), *drawer, shots, arguments.out, progress));
  } else {
    RETURN_IF_ERROR(
        ExportRows(base::SystemFileSystem(), seed, digits, shots, arguments.out, progress));
  }
  Say(StrCat(shots.size(), " written to ", arguments.out));
  return base::kExitDone;
}

int ExitCode(const Result<int>& result) {
  return result.ok() ? *result : base::Fail(kProgram, result.error());
}

void AddCommon(base::Command& command, Arguments& arguments, Kind kind) {
  command.Int("--seed", arguments.seed, "stands for the place: same seed, same bytes");
  command.Text("--pool", arguments.pool, "which digits: T (training, fit), A or B (streamed)")
      .OneOf({"T", "A", "B"});
  command.Int("--unseen-class", arguments.unseen_class, "a class to leave out; -1 leaves none out");
  for (const NamedDrift& drift : DriftsOf(kind)) {
    command.Number(StrCat("--", drift.name), arguments.drifts.*drift.strength,
                   "strength of this drift, 0 to 1");
  }
  command.Text("--digits", arguments.digits, "examples/digits/digits.csv")
      .Environment("TINYSCENE_DIGITS");
}

void AddStream(base::CommandLine& line, Arguments& arguments, Kind kind) {
  const bool camera = kind == Kind::kCamera;
  base::Command& command =
      line.Add(camera ? "camera" : "rows",
               camera ? "160x120 frames, one JPEG after the other" : "64 channels, CSV");
  AddCommon(command, arguments, kind);
  command.Number("--unseen", arguments.unseen, "share of shots showing the class left out");
  command.Text("--control", arguments.control,
               "JSON file that says what to show, read again "
               "before each shot");
  command.Text("--truth", arguments.truth, "CSV file to append what was shown to");
  command.Text("--from-truth", arguments.from_truth, "draw the shots of this truth file again");
  command.Flag("--with-dropped", arguments.with_dropped,
               "with --from-truth: also those that were dropped");
  command.Flag("--realtime", arguments.realtime,
               "keep the pace, hold two, drop the oldest when nobody reads");
  command.Number("--fps", arguments.fps,
                 camera ? "frames a second; 0: as fast as they are read "
                          "(30 with --realtime)"
                        : "rows a second; 0: as fast as they are read "
                          "(50 with --realtime)");
  command.Int("--frames", arguments.frames, "end after so many; 0: go on");
  command.Text("--out", arguments.out, "- for standard output, a FIFO or a file").Required();
  command.Action([&arguments, kind] { return ExitCode(Stream(arguments, kind)); });
}

void AddExport(base::Command& parent, Arguments& arguments, Kind kind) {
  const bool camera = kind == Kind::kCamera;
  base::Command& command =
      parent.Add(camera ? "camera" : "rows",
                 camera ? "a folder a class with JPEG files" : "CSV with the label last");
  AddCommon(command, arguments, kind);
  command.Int("--per-class", arguments.per_class, "how many of each class").Required();
  command.Text("--out", arguments.out, camera ? "folder to make" : "file to write").Required();
  command.Action([&arguments, kind] { return ExitCode(Export(arguments, kind)); });
}

int Main(int argc, const char* const* argv) {
  base::CommandLine line(kProgram,
                         "A camera where there is none: handwritten digits as camera frames or as "
                         "rows of a sensor array, with drift on demand.",
                         TINYSCENE_VERSION);
  Arguments camera;
  Arguments rows;
  Arguments export_camera;
  Arguments export_rows;
  AddStream(line, camera, Kind::kCamera);
  AddStream(line, rows, Kind::kRows);
  base::Command& export_command = line.Add("export", "labelled material for fit and for training");
  export_camera.pool = "T";
  export_rows.pool = "T";
  AddExport(export_command, export_camera, Kind::kCamera);
  AddExport(export_command, export_rows, Kind::kRows);
  return line.Run(argc, argv);
}

}  // namespace
}  // namespace tinyscene

int main(int argc, char** argv) { return tinyscene::Main(argc, argv); }
