#include "agent/state_verbs.h"

#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/layout.h"
#include "agent/verbs.h"
#include "base/crypto.h"
#include "base/file_system.h"
#include "base/text.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/adapt/difference.h"
#include "tinylcm/state/snapshot_store.h"

namespace agent {

namespace adapt = tinylcm::adapt;
namespace state = tinylcm::state;

using base::Error;
using base::ErrorCode;
using base::Fail;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

struct Arguments {
  std::string config;
  std::string id;
  std::string after;
  bool json = false;
};

// Beside the agent that may be saving: nothing of its folder is touched.
state::SnapshotStore Store(const Config& config) {
  return state::SnapshotStore::ToRead(Disk(), Layout(config.data).snapshots);
}

Json ToJson(const state::SnapshotInfo& info) {
  Json blobs = Json::MakeArray();
  for (const state::BlobInfo& blob : info.blobs) {
    blobs.Append(
        Json::MakeObject({{"name", blob.name}, {"bytes", blob.bytes}, {"sha256", blob.sha256}}));
  }
  return Json::MakeObject({{"id", info.id},
                           {"created", base::FormatTime(info.created)},
                           {"reason", info.reason},
                           {"proven", info.is_proven},
                           {"bytes", info.bytes},
                           {"blobs", std::move(blobs)}});
}

Json ToJson(const std::vector<std::string>& lines) {
  Json list = Json::MakeArray();
  for (const std::string& line : lines) list.Append(line);
  return list;
}

std::string InWords(const state::SnapshotInfo& info) {
  return StrCat(info.id, '\t', base::FormatTime(info.created), '\t', info.bytes, " bytes\t",
                info.is_proven ? "proven" : "on trial", '\t', info.reason);
}

// Nothing where the snapshot holds none; an Error where it holds one that cannot be read.
Result<std::optional<adapt::Adaptation>> AdaptationOf(const std::string& id,
                                                      const state::Blobs& blobs) {
  const auto found = blobs.find("adaptation");
  if (found == blobs.end()) return std::optional<adapt::Adaptation>();
  auto adaptation = adapt::ParseAdaptation(found->second);
  if (!adaptation.ok()) return adaptation.error().Within("snapshot " + id);
  return std::optional<adapt::Adaptation>(*std::move(adaptation));
}

Status List(const Config& config, const Arguments& given) {
  auto listing = Store(config).List();
  // A device that never changed anything has no folder yet.
  if (!listing.ok() && listing.error().code == ErrorCode::kNotFound) {
    listing = state::SnapshotStore::Listing{};
  }
  if (!listing.ok()) return listing.error();
  if (given.json) {
    Json snapshots = Json::MakeArray();
    for (const state::SnapshotInfo& info : listing->snapshots) snapshots.Append(ToJson(info));
    std::cout << Json::MakeObject({{"snapshots", std::move(snapshots)},
                                   {"damaged", ToJson(listing->damaged)},
                                   {"bytes", listing->bytes}})
                     .WritePretty()
              << '\n';
    return {};
  }
  for (const state::SnapshotInfo& info : listing->snapshots) std::cout << InWords(info) << '\n';
  for (const std::string& damaged : listing->damaged) std::cout << "damaged\t" << damaged << '\n';
  std::cout << listing->snapshots.size() << " snapshots, " << listing->bytes
            << " bytes on the disk\n";
  return {};
}

Status Show(const Config& config, const Arguments& given) {
  const state::SnapshotStore store = Store(config);
  ASSIGN_OR_RETURN(const state::SnapshotInfo info, store.Show(given.id));
  ASSIGN_OR_RETURN(const state::Blobs blobs, store.Load(given.id));
  ASSIGN_OR_RETURN(const std::optional<adapt::Adaptation> adaptation,
                   AdaptationOf(given.id, blobs));
  std::vector<std::string> lines;
  if (adaptation) lines = adapt::Describe(*adaptation);
  if (given.json) {
    Json json = ToJson(info);
    json.Set("adaptation", ToJson(lines));
    std::cout << json.WritePretty() << '\n';
    return {};
  }
  std::cout << InWords(info) << '\n';
  for (const state::BlobInfo& blob : info.blobs) {
    std::cout << "  " << blob.name << '\t' << blob.bytes << " bytes\t" << blob.sha256 << '\n';
  }
  for (const std::string& line : lines) std::cout << "  " << line << '\n';
  return {};
}

const char* Name(state::BlobDifference::Kind kind) {
  switch (kind) {
    case state::BlobDifference::Kind::kAdded:
      return "added";
    case state::BlobDifference::Kind::kRemoved:
      return "removed";
    case state::BlobDifference::Kind::kChanged:
      return "changed";
  }
  return "unknown";
}

Status Diff(const Config& config, const Arguments& given) {
  const state::SnapshotStore store = Store(config);
  ASSIGN_OR_RETURN(const state::Blobs before, store.Load(given.id));
  ASSIGN_OR_RETURN(const state::Blobs after, store.Load(given.after));
  ASSIGN_OR_RETURN(const std::optional<adapt::Adaptation> was, AdaptationOf(given.id, before));
  ASSIGN_OR_RETURN(const std::optional<adapt::Adaptation> is, AdaptationOf(given.after, after));
  ASSIGN_OR_RETURN(const std::vector<state::BlobDifference> blobs,
                   store.Diff(given.id, given.after));
  const std::vector<std::string> lines =
      adapt::Differences(was.value_or(adapt::Adaptation{}), is.value_or(adapt::Adaptation{}));
  if (given.json) {
    Json listed = Json::MakeArray();
    for (const state::BlobDifference& blob : blobs) {
      listed.Append(Json::MakeObject({{"name", blob.name},
                                      {"kind", Name(blob.kind)},
                                      {"bytes_before", blob.bytes_before},
                                      {"bytes_after", blob.bytes_after},
                                      {"first_difference", blob.first_difference}}));
    }
    std::cout << Json::MakeObject({{"blobs", std::move(listed)}, {"adaptation", ToJson(lines)}})
                     .WritePretty()
              << '\n';
    return {};
  }
  for (const std::string& line : lines) std::cout << line << '\n';
  for (const state::BlobDifference& blob : blobs) {
    std::cout << blob.name << '\t' << Name(blob.kind) << '\t' << blob.bytes_before << " -> "
              << blob.bytes_after << " bytes";
    if (blob.kind == state::BlobDifference::Kind::kChanged) {
      std::cout << ", first difference at " << blob.first_difference;
    }
    std::cout << '\n';
  }
  if (blobs.empty()) std::cout << "no difference\n";
  return {};
}

// The agent may run or not; it does it when it next looks.
Status AskForRollback(const Config& config, const Arguments& given) {
  ASSIGN_OR_RETURN(const state::Blobs blobs, Store(config).Load(given.id));
  ASSIGN_OR_RETURN(const std::optional<adapt::Adaptation> adaptation,
                   AdaptationOf(given.id, blobs));
  if (!adaptation) {
    return Error{ErrorCode::kInvalidArgument, given.id + ": holds no adaptation"};
  }
  RETURN_IF_ERROR(base::WriteFileDurably(Disk(), Layout(config.data).rollback_request,
                                         base::AsBytes(given.id)));
  std::cout << "asked: the agent goes back to " << given.id
            << " within a second, or at its next start\n";
  return {};
}

}  // namespace

void AddState(base::CommandLine& line) {
  auto given = std::make_shared<Arguments>();
  base::Command& states = line.Add("state", "Snapshots taken before every change");
  using Verb = Status (*)(const Config&, const Arguments&);
  const auto verb = [&](const char* name, const char* about, bool has_json,
                        Verb act) -> base::Command& {
    base::Command& command = states.Add(name, about);
    command.Text("--config", given->config, "The agent's configuration").Required();
    if (has_json) command.Flag("--json", given->json, "As JSON");
    command.Action([given, act] {
      const auto config = ReadConfigOfDevice(Disk(), given->config);
      if (!config.ok()) return Fail(kProgram, config.error());
      const Status done = act(*config, *given);
      return done.ok() ? base::kExitDone : Fail(kProgram, done.error());
    });
    return command;
  };
  verb("ls", "List them", true, List);
  verb("show", "What one holds", true, Show).Text("snapshot", given->id, "Snapshot id").Required();
  base::Command& diff = verb("diff", "What changed between two", true, Diff);
  diff.Text("before", given->id, "Snapshot id").Required();
  diff.Text("after", given->after, "Snapshot id").Required();
  verb("rollback", "Go back to one", false, AskForRollback)
      .Text("snapshot", given->id, "Snapshot id")
      .Required();
}

}  // namespace agent
