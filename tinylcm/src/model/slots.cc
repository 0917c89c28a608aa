#include "tinylcm/model/slots.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
using base::StrCat;

namespace {

constexpr char kUnpacking[] = "unpacking";

bool IsBundleName(const std::string& name) {
  return name.size() == 64 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

base::Json ToJson(const Slots::State& state) {
  return base::Json::MakeObject({{"format", "tinylcm-slots/1"},
                                 {"current", state.current},
                                 {"previous", state.previous},
                                 {"golden", state.golden},
                                 {"failed_starts", state.failed_starts}});
}

base::Result<Slots::State> ParseState(base::ByteView bytes) {
  ASSIGN_OR_RETURN(const base::Json json, base::Json::Parse(base::AsText(bytes)));
  base::JsonReader reader(json, "slots");
  if (reader.String("format") != "tinylcm-slots/1") reader.Refuse("format", "unknown");
  Slots::State state;
  const auto bundle = [&](std::string_view key) {
    std::string name = reader.String(key);
    if (!name.empty() && !IsBundleName(name)) reader.Refuse(key, "no bundle's name");
    return name;
  };
  state.current = bundle("current");
  state.previous = bundle("previous");
  state.golden = bundle("golden");
  state.failed_starts =
      static_cast<std::uint32_t>(reader.Int("failed_starts", {.min = 0, .max = 1'000'000}));
  RETURN_IF_ERROR(reader.status());
  return state;
}

}  // namespace

Slots::Slots(base::FileSystem& fs, std::string folder, state::TwoCopyRecord record, State state)
    : fs_(&fs), folder_(std::move(folder)), record_(std::move(record)), state_(std::move(state)) {}

base::Result<Slots> Slots::Open(base::FileSystem& fs, const std::string& folder) {
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  RETURN_IF_ERROR(fs.SyncDirectory(std::string(base::FolderOf(folder))));
  RETURN_IF_ERROR(base::RemoveTree(fs, base::JoinPath(folder, kUnpacking)));
  ASSIGN_OR_RETURN(state::TwoCopyRecord record,
                   state::TwoCopyRecord::Open(fs, base::JoinPath(folder, "slots")));
  State state;
  if (record.value()) {
    auto parsed = ParseState(*record.value());
    if (!parsed.ok()) return Error{ErrorCode::kCorrupt, parsed.error().message};
    state = std::move(parsed).value();
  }
  return Slots(fs, folder, std::move(record), std::move(state));
}

std::string Slots::FolderOf(const std::string& bundle) const {
  return base::JoinPath(folder_, bundle);
}

bool Slots::Has(const std::string& bundle) const {
  return IsBundleName(bundle) &&
         base::Exists(*fs_, base::JoinPath(FolderOf(bundle), protocol::kManifestPath));
}

base::Status Slots::Save(const State& state) {
  RETURN_IF_ERROR(record_.Write(base::AsBytes(ToJson(state).Write())));
  state_ = state;
  return {};
}

// Puts the finished "unpacking" folder in its place.
base::Status Slots::Keep(const std::string& bundle) {
  const std::string from = base::JoinPath(folder_, kUnpacking);
  const std::string to = FolderOf(bundle);
  if (base::Exists(*fs_, to)) {
    if (VerifyFolder(*fs_, to).ok()) return base::RemoveTree(*fs_, from);
    // Damaged since it was installed: the new copy takes its place.
    RETURN_IF_ERROR(base::RemoveTree(*fs_, to));
  }
  RETURN_IF_ERROR(fs_->SyncDirectory(from));
  RETURN_IF_ERROR(fs_->Rename(from, to));
  return fs_->SyncDirectory(folder_);
}

base::Result<ArchiveInfo> Slots::Install(const std::string& archive,
                                         const base::Ed25519PublicKey* publisher,
                                         const DeviceTraits& device,
                                         const std::optional<std::string>& archive_sha256) {
  const std::string unpacking = base::JoinPath(folder_, kUnpacking);
  RETURN_IF_ERROR(base::RemoveTree(*fs_, unpacking));
  const auto install = [&]() -> base::Result<ArchiveInfo> {
    ASSIGN_OR_RETURN(ArchiveInfo info, UnpackArchive(*fs_, archive, unpacking, publisher, device));
    if (archive_sha256 && *archive_sha256 != info.archive_sha256) {
      return Error{ErrorCode::kCorrupt, StrCat(archive, ": sha256 is ", info.archive_sha256,
                                               ", expected ", *archive_sha256)};
    }
    RETURN_IF_ERROR(LoadBundle(*fs_, unpacking, device));
    RETURN_IF_ERROR(Keep(info.bundle));
    return info;
  };
  auto info = install();
  if (!info.ok()) {
    // The first error is the one to tell; what is left here goes at the next opening too.
    const base::Status removed = base::RemoveTree(*fs_, unpacking);
    static_cast<void>(removed.ok());
  }
  return info;
}

base::Result<std::string> Slots::InstallFolder(const std::string& bundle_folder,
                                               const DeviceTraits& device) {
  ASSIGN_OR_RETURN(const ModelBundle bundle, LoadBundle(*fs_, bundle_folder, device));
  const std::string unpacking = base::JoinPath(folder_, kUnpacking);
  RETURN_IF_ERROR(base::RemoveTree(*fs_, unpacking));
  RETURN_IF_ERROR(fs_->CreateDirectories(unpacking));
  std::vector<std::string> paths;
  for (const protocol::NamedFile& file : bundle.manifest.files) paths.push_back(file.path);
  if (base::Exists(*fs_, base::JoinPath(bundle_folder, protocol::kSignaturePath))) {
    paths.emplace_back(protocol::kSignaturePath);
  }
  paths.emplace_back(protocol::kManifestPath);
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const base::Bytes bytes,
                     base::ReadFile(*fs_, base::JoinPath(bundle_folder, path), 512u << 20));
    const std::string to = base::JoinPath(unpacking, path);
    RETURN_IF_ERROR(fs_->CreateDirectories(std::string(base::FolderOf(to))));
    RETURN_IF_ERROR(base::WriteFileDurably(*fs_, to, bytes));
  }
  ASSIGN_OR_RETURN(const VerifiedFolder verified, VerifyFolder(*fs_, unpacking));
  RETURN_IF_ERROR(Keep(verified.bundle));
  return verified.bundle;
}

base::Status Slots::Activate(const std::string& bundle) {
  if (!Has(bundle)) {
    return Error{ErrorCode::kNotFound, StrCat("slots: bundle ", bundle, " is not installed")};
  }
  if (bundle == state_.current) return {};
  State next = state_;
  next.previous = state_.current;
  next.current = bundle;
  next.failed_starts = 0;
  if (next.golden.empty()) next.golden = bundle;
  return Save(next);
}

base::Result<std::string> Slots::Rollback() {
  State next = state_;
  if (Has(state_.previous)) {
    std::swap(next.current, next.previous);
  } else if (Has(state_.golden) && state_.golden != state_.current) {
    next.current = state_.golden;
    next.previous.clear();
  } else {
    return Error{ErrorCode::kNotFound, "slots: there is no bundle to go back to"};
  }
  next.failed_starts = 0;
  RETURN_IF_ERROR(Save(next));
  return state_.current;
}

base::Result<std::string> Slots::BeginStart() {
  if (state_.current.empty()) {
    return Error{ErrorCode::kNotFound, "slots: no bundle is installed"};
  }
  State next = state_;
  if (next.failed_starts >= kFailedStartsMax || !Has(next.current)) {
    // The failed one is not kept as previous: the way leads down to golden and stays there.
    if (Has(next.previous)) {
      next.current = std::exchange(next.previous, "");
    } else if (Has(next.golden)) {
      next.current = next.golden;
    }
    next.failed_starts = 0;
  }
  ++next.failed_starts;
  RETURN_IF_ERROR(Save(next));
  return state_.current;
}

base::Status Slots::StartedHealthy() {
  if (state_.failed_starts == 0) return {};
  State next = state_;
  next.failed_starts = 0;
  return Save(next);
}

base::Status Slots::CollectGarbage() {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> entries, fs_->List(folder_));
  for (const base::FileInfo& entry : entries) {
    const std::string& name = entry.name;
    if (!entry.is_directory || !IsBundleName(name)) continue;
    if (name == state_.current || name == state_.previous || name == state_.golden) continue;
    RETURN_IF_ERROR(base::RemoveTree(*fs_, FolderOf(name)));
  }
  return {};
}

}  // namespace tinylcm::model
