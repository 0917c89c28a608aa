#include "agent/log_verbs.h"

#include <deque>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/layout.h"
#include "agent/verbs.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/folder_lock.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/datalog/datalog.h"
#include "tinylcm/sync/package_queue.h"

namespace agent {

namespace datalog = tinylcm::datalog;
namespace sync = tinylcm::sync;

using base::Error;
using base::ErrorCode;
using base::Fail;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::uint64_t kFileBytesMax = 1ull << 30;

// ---- what is read -------------------------------------------------------------------------------

struct Which {
  std::string config;
  std::vector<std::string> files;

  void Declare(base::Command& verb) {
    verb.Text("--config", config, "The agent's configuration: all of its log");
    verb.Texts("FILE", files, "Or single files: .jsonl, .csv, .tlog, .tar");
  }

  // Oldest first.
  Result<std::vector<datalog::LogFile>> Files() const {
    if (config.empty() == files.empty()) {
      return Error{ErrorCode::kInvalidArgument, "log: either --config or files are asked"};
    }
    if (!config.empty()) {
      ASSIGN_OR_RETURN(const Config read, ReadConfigOfDevice(Disk(), config));
      const std::string folder = Layout(read.data).datalog;
      if (!base::Exists(Disk(), folder)) return std::vector<datalog::LogFile>{};
      return datalog::ListLog(Disk(), folder);
    }
    std::vector<datalog::LogFile> named;
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(datalog::LogFile one, datalog::LogFileAt(Disk(), file));
      named.push_back(std::move(one));
    }
    return named;
  }
};

// Nothing where the file went while we looked: the agent made room.
Result<std::optional<base::Bytes>> ReadWhole(const datalog::LogFile& file) {
  auto bytes = base::ReadFile(Disk(), file.path, kFileBytesMax);
  if (bytes.ok()) return std::optional(std::move(bytes).value());
  if (bytes.error().code == ErrorCode::kNotFound) return std::optional<base::Bytes>();
  return bytes.error();
}

// An instant, or how long ago.
Result<base::Time> ParseInstant(const std::string& text, std::string_view option) {
  const auto time = base::ParseTime(text);
  if (time.ok()) return *time;
  const auto ago = base::ParseDuration(text);
  if (ago.ok()) return base::SystemClock().Now() - *ago;
  return Error{ErrorCode::kInvalidArgument,
               StrCat(option, ": '", text, "' is neither 2026-11-20T12:00:00.000Z nor 1h")};
}

// ---- log cat ------------------------------------------------------------------------------------

struct Cat {
  Which which;
  std::string format = "jsonl";
  std::string since;
  std::string until;
  std::string label;
  double below_confidence = 2.0;
  std::int64_t last = 0;

  Result<bool> Run() const;  // Was all of it whole, a torn tail aside?
};

Result<bool> Cat::Run() const {
  std::optional<base::Time> from, to;
  if (!since.empty()) {
    ASSIGN_OR_RETURN(from, ParseInstant(since, "--since"));
  }
  if (!until.empty()) {
    ASSIGN_OR_RETURN(to, ParseInstant(until, "--until"));
  }
  if (last < 0) return Error{ErrorCode::kInvalidArgument, "--last: at least 0"};
  ASSIGN_OR_RETURN(const auto files, which.Files());
  ASSIGN_OR_RETURN(const datalog::Format as, datalog::ParseFormat(format));
  const auto encoder = datalog::MakeEncoder(as);
  std::string out;
  encoder->Begin(out);
  const auto print = [&](const datalog::Entry& entry) {
    encoder->Append(entry.record, entry.label, out);
    if (out.size() < (1u << 16)) return;
    std::cout << out;
    out.clear();
  };
  std::deque<datalog::Entry> latest;
  bool is_whole = true;
  for (const datalog::LogFile& file : files) {
    if (!file.format) continue;
    ASSIGN_OR_RETURN(const auto bytes, ReadWhole(file));
    if (!bytes) continue;
    const auto report = datalog::ReadLog(*file.format, *bytes, [&](const datalog::Entry& entry) {
      if (from && entry.record.time < *from) return;
      if (to && entry.record.time >= *to) return;
      if (!label.empty() && entry.label != label) return;
      if (!(entry.record.confidence < below_confidence)) return;
      if (last == 0) return print(entry);
      latest.push_back(entry);
      if (latest.size() > static_cast<std::size_t>(last)) latest.pop_front();
    });
    if (!report.ok()) return report.error().Within(file.path);
    if (!report->damaged.empty()) std::cerr << file.path << ": " << report->Describe() << '\n';
    is_whole = is_whole && !report->is_corrupt();
  }
  for (const datalog::Entry& entry : latest) print(entry);
  std::cout << out << std::flush;
  return is_whole;
}

// ---- log ls -------------------------------------------------------------------------------------

Result<bool> List(const Which& which, bool as_json) {
  ASSIGN_OR_RETURN(const auto files, which.Files());
  Json listed = Json::MakeArray();
  std::uint64_t answers = 0, pictures = 0, all_bytes = 0;
  bool is_whole = true;
  for (const datalog::LogFile& file : files) {
    ASSIGN_OR_RETURN(const auto bytes, ReadWhole(file));
    if (!bytes) continue;
    auto report = file.format ? datalog::ReadLog(*file.format, *bytes, [](const auto&) {})
                              : datalog::ReadPictures(*bytes, [](const auto&) {});
    if (!report.ok()) return report.error().Within(file.path);
    const char* const format = file.format ? datalog::Name(*file.format) : "pictures";
    (file.format ? answers : pictures) += report->entries;
    all_bytes += report->bytes;
    is_whole = is_whole && !report->is_corrupt();
    listed.Append(Json::MakeObject({{"file", file.path},
                                    {"format", format},
                                    {"entries", report->entries},
                                    {"bytes", report->bytes},
                                    {"lost_bytes", report->lost_bytes()},
                                    {"damage", report->Describe()}}));
    if (as_json) continue;
    std::cout << file.path << '\t' << format << '\t' << report->entries << '\t' << report->bytes
              << " bytes" << (report->damaged.empty() ? "" : "\t" + report->Describe()) << '\n';
  }
  if (as_json) {
    std::cout << Json::MakeObject({{"answers", answers},
                                   {"pictures", pictures},
                                   {"bytes", all_bytes},
                                   {"files", std::move(listed)}})
                     .WritePretty()
              << '\n';
  } else {
    std::cout << answers << " answers and " << pictures << " pictures in " << all_bytes
              << " bytes\n";
  }
  return is_whole;
}

// ---- log images ---------------------------------------------------------------------------------

// A name of ours, and not one that somebody put into the tar to write elsewhere.
bool IsPictureName(std::string_view name) {
  return name.ends_with(".jpg") && name.size() > 4 &&
         name.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz_.") ==
             std::string_view::npos &&
         !name.starts_with('.');
}

Result<bool> ExportImages(const Which& which, const std::string& out) {
  ASSIGN_OR_RETURN(const auto files, which.Files());
  RETURN_IF_ERROR(Disk().CreateDirectories(out));
  std::uint64_t written = 0;
  bool is_whole = true;
  Status failed;
  for (const datalog::LogFile& file : files) {
    if (file.format) continue;
    ASSIGN_OR_RETURN(const auto bytes, ReadWhole(file));
    if (!bytes) continue;
    const auto report = datalog::ReadPictures(*bytes, [&](const datalog::PictureEntry& entry) {
      if (!failed.ok()) return;
      if (!IsPictureName(entry.name)) {
        std::cerr << file.path << ": '" << entry.name << "' is no picture of a log, passed over\n";
        is_whole = false;
        return;
      }
      const std::string path = base::JoinPath(out, entry.name);
      failed = base::WriteFileDurably(Disk(), path, entry.jpeg);
      if (failed.ok()) ++written;
    });
    RETURN_IF_ERROR(failed);
    if (!report.damaged.empty()) std::cerr << file.path << ": " << report.Describe() << '\n';
    is_whole = is_whole && !report.is_corrupt();
  }
  std::cout << written << " pictures in " << out << '\n';
  return is_whole;
}

int ExitOf(const Result<bool>& done) {
  if (!done.ok()) return Fail(kProgram, done.error());
  return *done ? base::kExitDone : base::kExitNotSo;
}

// ---- erase --------------------------------------------------------------------------------------

struct Erased {
  std::uint64_t files = 0;
  std::uint64_t packages = 0;
};

Status EraseLog(const Layout& layout, bool lines, bool pictures, Erased& erased) {
  if (!base::Exists(Disk(), layout.datalog)) return {};
  ASSIGN_OR_RETURN(const auto files, datalog::ListLog(Disk(), layout.datalog));
  for (const datalog::LogFile& file : files) {
    if (file.format ? !lines : !pictures) continue;
    RETURN_IF_ERROR(Disk().Remove(file.path));
    ++erased.files;
  }
  return Disk().SyncDirectory(layout.datalog);
}

Status EraseQuarantine(const Layout& layout, bool samples, Erased& erased) {
  const std::string folder = base::JoinPath(layout.lifecycle, "quarantine");
  if (!base::Exists(Disk(), folder)) return {};
  if (samples) {
    RETURN_IF_ERROR(base::RemoveTree(Disk(), folder));
    ++erased.files;
    return Disk().SyncDirectory(layout.lifecycle);
  }
  ASSIGN_OR_RETURN(auto quarantine, tinylcm::adapt::Quarantine::Open(Disk(), folder, {}));
  for (const auto& sample : quarantine.samples()) erased.files += sample.has_picture ? 1 : 0;
  return quarantine.ErasePictures();
}

Status ErasePackages(const Layout& layout, bool all, Erased& erased) {
  if (!base::Exists(Disk(), layout.queue)) return {};
  ASSIGN_OR_RETURN(const sync::QueueListing listing, sync::ListQueue(Disk(), layout.queue));
  for (const sync::QueuedPackage& package : listing.packages) {
    if (!all && !sync::MayHoldPictures(Disk(), layout.queue, package)) continue;
    RETURN_IF_ERROR(sync::EraseQueued(Disk(), layout.queue, package));
    ++erased.packages;
  }
  return {};
}

Status Erase(const std::string& path, bool images, bool log, bool all) {
  if (!images && !log && !all) {
    return Error{ErrorCode::kInvalidArgument, "erase: --images, --log or --all is asked"};
  }
  ASSIGN_OR_RETURN(const Config config, ReadConfig(Disk(), path));
  const Layout layout(config.data);
  if (!base::Exists(Disk(), config.data)) {
    return Error{ErrorCode::kNotFound, StrCat("erase: ", config.data, ": no such folder")};
  }
  const auto lock = base::FolderLock::Take(config.data, "agent");
  if (!lock.ok()) return lock.error().Within("erase: stop the agent first");
  Erased erased;
  RETURN_IF_ERROR(EraseLog(layout, log || all, images || all, erased));
  if (images || all) {
    RETURN_IF_ERROR(EraseQuarantine(layout, all, erased));
    RETURN_IF_ERROR(ErasePackages(layout, all, erased));
  }
  std::cout << "erased " << erased.files << " files and pictures and " << erased.packages
            << " packages\n";
  return {};
}

}  // namespace

void AddLog(base::CommandLine& line) {
  base::Command& log = line.Add("log", "The log of predictions");

  auto cat = std::make_shared<Cat>();
  base::Command& cat_verb = log.Add(
      "cat",
      "Print answers, oldest first; names torn and corrupt files on stderr, 1 for the latter");
  cat->which.Declare(cat_verb);
  cat_verb.Text("--format", cat->format, "How they are printed").OneOf({"jsonl", "csv"});
  cat_verb.Text("--since", cat->since, "From an instant on, or so long ago: 1h");
  cat_verb.Text("--until", cat->until, "Before an instant, or until so long ago");
  cat_verb.Text("--label", cat->label, "Only answers that say this");
  cat_verb.Number("--below-confidence", cat->below_confidence, "Only answers less sure than this");
  cat_verb.Int("--last", cat->last, "Only the last so many, whatever their clock said; 0: all");
  cat_verb.Action([cat] { return ExitOf(cat->Run()); });

  struct ListArguments {
    Which which;
    bool json = false;
  };
  auto listed = std::make_shared<ListArguments>();
  base::Command& list_verb = log.Add("ls", "The files, what they hold and what was lost");
  listed->which.Declare(list_verb);
  list_verb.Flag("--json", listed->json, "As JSON");
  list_verb.Action([listed] { return ExitOf(List(listed->which, listed->json)); });

  struct ImagesArguments {
    Which which;
    std::string out;
  };
  auto images = std::make_shared<ImagesArguments>();
  base::Command& images_verb = log.Add("images", "Write the kept pictures into a folder");
  images->which.Declare(images_verb);
  images_verb.Text("--out", images->out, "The folder").Required();
  images_verb.Action([images] { return ExitOf(ExportImages(images->which, images->out)); });
}

void AddErase(base::CommandLine& line) {
  struct Arguments {
    std::string config;
    bool images = false;
    bool log = false;
    bool all = false;
  };
  auto given = std::make_shared<Arguments>();
  base::Command& erase = line.Add(
      "erase",
      "Remove what the device kept of what it saw; keys, bundles and what it learned stay");
  erase.Text("--config", given->config, "The agent's configuration").Required();
  erase.Flag("--images", given->images,
             "Pictures: of the log, of the quarantine, and packages that hold some");
  erase.Flag("--log", given->log, "The lines of the log");
  erase.Flag("--all", given->all, "Both, the quarantine's samples and labels, every package");
  erase.Action([given] {
    const Status done = Erase(given->config, given->images, given->log, given->all);
    return done.ok() ? base::kExitDone : Fail(kProgram, done.error());
  });
}

}  // namespace agent
