#include "tinysphere/experiment/mlflow_mirror.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/http/page.h"

namespace tinysphere::experiment {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr std::string_view kBundleTag = "tinysphere.bundle";
constexpr std::string_view kUnknown = "unknown";  // Nobody has read its MLmodel yet.

// What people elsewhere wrote: no control bytes, and no more than a row should hold.
std::string Clean(std::string_view text, std::size_t bytes_max) {
  std::string clean(text.substr(0, bytes_max));
  // A character that was cut in the middle is none.
  while (!clean.empty() && text.size() > bytes_max &&
         (static_cast<unsigned char>(clean.back()) & 0x80) != 0) {
    clean.pop_back();
  }
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return clean;
}

Json AliasesJson(const std::vector<std::string>& aliases) {
  Json::Array array;
  for (const std::string& alias : aliases) array.emplace_back(alias);
  return array;
}

Json TextOrNull(const Row& row, std::string_view column) {
  const auto text = row.OptionalText(column);
  return !text || text->empty() ? Json() : Json(*text);
}

Json VersionJson(const Row& row) {
  const std::string holds = row.Text("holds");
  const bool waits = holds == "tflite" || holds == "onnx";
  return Json::MakeObject({{"name", row.Text("name")},
                           {"version", row.Int("version")},
                           {"holds", holds},
                           {"state", holds == "bundle" ? "bundle"
                                     : waits           ? "waiting_for_bundle"
                                                       : "other"},
                           {"bundle", TextOrNull(row, "bundle")},
                           {"aliases", row.Document("aliases")},
                           {"source", row.Text("source")},
                           {"mlflow_run_id", TextOrNull(row, "mlflow_run_id")},
                           {"description", TextOrNull(row, "description")},
                           {"created_at", base::FormatTime(row.Time("created_at"))},
                           {"seen_at", base::FormatTime(row.Time("seen_at"))}});
}

Json ProposalJson(const Row& row) {
  const bool is_started = !row.IsNull("rollout_id") && row.Text("state") == "open";
  return Json::MakeObject({{"proposal_id", row.Text("proposal_id")},
                           {"model", row.Text("model")},
                           {"mlflow_version", row.Int("mlflow_version")},
                           {"alias", row.Text("alias")},
                           {"group", row.Text("fleet_group")},
                           {"bundle", row.Text("bundle")},
                           {"name", row.Text("name")},
                           {"version", row.Text("version")},
                           {"state", is_started ? "started" : row.Text("state")},
                           {"rollout_id", TextOrNull(row, "rollout_id")},
                           {"created_at", base::FormatTime(row.Time("created_at"))},
                           {"changed_at", base::FormatTime(row.Time("changed_at"))}});
}

// A rollout of that bundle which somebody started since.
constexpr std::string_view kSelectProposal =
    "SELECT p.proposal_id, p.model, p.mlflow_version, p.alias, p.fleet_group, p.bundle, p.name, "
    "p.version, p.state, p.created_at, p.changed_at, (SELECT MIN(r.rollout_id) FROM rollouts r "
    "WHERE r.bundle = p.bundle AND r.created_at >= p.created_at) AS rollout_id "
    "FROM rollout_proposals p ";

}  // namespace

std::string HoldsByFlavours(const std::string& mlmodel) {
  bool is_in_flavours = false;
  std::string holds = "other";
  for (const std::string_view line : base::Split(mlmodel, '\n')) {
    const bool is_top = !line.empty() && line.front() != ' ';
    if (is_top) is_in_flavours = line.starts_with("flavors:");
    if (!is_in_flavours) continue;
    if (line.starts_with("  tflite:")) return "tflite";
    if (line.starts_with("  onnx:")) holds = "onnx";
  }
  return holds;
}

struct MlflowMirror::Seen {
  std::string name;
  std::int64_t version = 0;
  std::string holds;
  std::string bundle;
  std::vector<std::string> aliases;
  std::string source;
  std::string run_id;
  std::string description;
  base::Time created_at{};

  std::string Digest() const {
    return base::StrCat(holds, "|", bundle, "|", AliasesJson(aliases).Write(), "|", source, "|",
                        run_id, "|", description);
  }
};

base::Status MlflowMirror::Look(mlflow::Client& client, base::Time now) {
  ASSIGN_OR_RETURN(const auto models, client.RegisteredModels());
  ASSIGN_OR_RETURN(auto versions, client.Versions());
  if (versions.size() > kVersionsMax) {
    std::sort(versions.begin(), versions.end(),
              [](const auto& a, const auto& b) { return a.created_ms > b.created_ms; });
    versions.resize(kVersionsMax);
  }
  std::map<std::pair<std::string, std::int64_t>, std::vector<std::string>> aliases;
  for (const auto& model : models) {
    for (const auto& [alias, version] : model.aliases) {
      aliases[{model.name, version}].push_back(alias);
    }
  }
  // What stands here, and which bundles are ours.
  std::map<std::pair<std::string, std::int64_t>, std::pair<std::string, std::string>> standing;
  std::set<std::string> bundles;
  const base::Status read = database_.Read([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const Rows rows,
                     transaction.Query("SELECT name, version, holds, bundle, aliases, source, "
                                       "mlflow_run_id, description FROM mlflow_versions"));
    for (const Row& row : rows) {
      const std::string digest = base::StrCat(
          row.Text("holds"), "|", row.Text("bundle"), "|", row.Text("aliases"), "|",
          row.Text("source"), "|", row.Text("mlflow_run_id"), "|", row.Text("description"));
      standing[{row.Text("name"), row.Int("version")}] = {row.Text("holds"), digest};
    }
    ASSIGN_OR_RETURN(const Rows known, transaction.Query("SELECT bundle FROM bundles"));
    for (const Row& row : known) bundles.insert(row.Text("bundle"));
    return {};
  });
  if (!read.ok()) return read;
  int files_left = kFilesALook;
  looks_ += 1;
  std::vector<Seen> seen;
  for (const mlflow::VersionInfo& version : versions) {
    const auto tag = version.tags.find(std::string(kBundleTag));
    Seen one{.name = Clean(version.name, 256),
             .version = version.version,
             .holds = std::string(kUnknown),
             .bundle = "",
             .aliases = {},
             .source = Clean(version.source, 1000),
             .run_id = Clean(version.run_id, 64),
             .description = Clean(version.description, 1000),
             .created_at = base::Time(base::Duration(version.created_ms))};
    if (const auto named = aliases.find({version.name, version.version}); named != aliases.end()) {
      for (const std::string& alias : named->second) one.aliases.push_back(Clean(alias, 255));
    }
    const auto before = standing.find({one.name, one.version});
    if (tag != version.tags.end() && bundles.contains(tag->second)) {
      one.holds = "bundle";
      one.bundle = tag->second;
    } else if (before != standing.end() && before->second.first != kUnknown &&
               before->second.first != "bundle") {
      one.holds = before->second.first;
    } else if (const auto untold = untold_.find({one.name, one.version});
               files_left > 0 && (untold == untold_.end() || untold->second.at_look <= looks_)) {
      files_left -= 1;
      const auto file = client.VersionFile(version.name, version.version, "MLmodel");
      const bool is_untold = !file.ok() && (file.error().code == ErrorCode::kInternal ||
                                            file.error().code == ErrorCode::kUnsupported);
      if (!file.ok() && !is_untold) return file.error();
      if (is_untold) {
        Untold& again = untold_[{one.name, one.version}];
        again.times = std::min(again.times + 1, kUntoldTimesMax);
        again.at_look = looks_ + (std::int64_t{1} << (again.times - 1));
      } else {
        untold_.erase({one.name, one.version});
        one.holds = *file ? HoldsByFlavours(**file) : "other";
      }
    }
    seen.push_back(std::move(one));
  }
  bool is_news = seen.size() != standing.size();
  for (const Seen& one : seen) {
    const auto before = standing.find({one.name, one.version});
    is_news = is_news || before == standing.end() || before->second.second != one.Digest();
  }
  // Looking costs no flush; there is hardly ever anything new. An alias that stands still may have
  // a proposal to make all the same: its bundle may have come since.
  if (!is_news) return {};
  std::vector<std::string> proposed;
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    proposed.clear();
    std::set<std::pair<std::string, std::int64_t>> kept;
    std::set<std::string> wanted;
    for (const Seen& one : seen) {
      kept.emplace(one.name, one.version);
      RETURN_IF_ERROR(transaction.Execute(
          "INSERT INTO mlflow_versions (name, version, holds, bundle, aliases, source, "
          "mlflow_run_id, description, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, "
          "$8, $9, $10) ON CONFLICT (name, version) DO UPDATE SET holds = $3, bundle = $4, "
          "aliases = $5, source = $6, mlflow_run_id = $7, description = $8, seen_at = $10",
          {one.name, one.version, one.holds, one.bundle, AliasesJson(one.aliases).Write(),
           one.source, one.run_id, one.description, one.created_at, now}));
      if (one.holds != "bundle") continue;
      for (const std::string& alias : one.aliases) {
        if (!alias.starts_with(kFleetAlias) || alias.size() == kFleetAlias.size()) continue;
        const std::string id =
            "p-" + base::Sha256Hex(base::AsBytes(base::StrCat(one.name, "|", one.version, "|",
                                                              alias, "|", one.bundle)))
                       .substr(0, 16);
        wanted.insert(id);
        ASSIGN_OR_RETURN(const auto ours,
                         transaction.QueryOne("SELECT name, version FROM model_versions WHERE "
                                              "bundle = $1 ORDER BY created_at LIMIT 1",
                                              {one.bundle}));
        if (!ours) continue;
        ASSIGN_OR_RETURN(
            const std::int64_t added,
            transaction.Execute(
                "INSERT INTO rollout_proposals (proposal_id, model, mlflow_version, alias, "
                "fleet_group, bundle, name, version, state, created_at, changed_at) VALUES "
                "($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $9) "
                "ON CONFLICT (proposal_id) DO UPDATE SET state = 'open', changed_at = $9 "
                "WHERE rollout_proposals.state = 'withdrawn'",
                {id, one.name, one.version, alias, alias.substr(kFleetAlias.size()), one.bundle,
                 ours->Text("name"), ours->Text("version"), now}));
        if (added > 0) proposed.push_back(id);
      }
    }
    for (const auto& [key, before] : standing) {
      if (kept.contains(key)) continue;
      RETURN_IF_ERROR(transaction.Execute(
          "DELETE FROM mlflow_versions WHERE name = $1 AND version = $2", {key.first, key.second}));
    }
    ASSIGN_OR_RETURN(
        const Rows open,
        transaction.Query("SELECT proposal_id FROM rollout_proposals WHERE state = 'open'"));
    for (const Row& row : open) {
      if (wanted.contains(row.Text("proposal_id"))) continue;
      RETURN_IF_ERROR(
          transaction.Execute("UPDATE rollout_proposals SET state = 'withdrawn', changed_at = $2 "
                              "WHERE proposal_id = $1",
                              {row.Text("proposal_id"), now}));
    }
    return {};
  });
  if (!written.ok()) return written;
  for (const std::string& id : proposed) {
    events_.Publish("rollout_proposal", Json::MakeObject({{"id", id}}));
  }
  return {};
}

base::Result<Json> MlflowMirror::Versions(const http::Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const std::string holds(request.Query("holds"));
  ASSIGN_OR_RETURN(
      Rows rows,
      database_.Query("SELECT name, version, holds, bundle, aliases, source, mlflow_run_id, "
                      "description, created_at, seen_at FROM mlflow_versions WHERE "
                      "($1 = '' OR holds = $1) AND (name > $2 OR (name = $2 AND version > $3)) "
                      "ORDER BY name, version LIMIT $4",
                      {holds, cursor ? cursor->text : "", cursor ? cursor->number : 0, limit + 1}));
  return http::MakePage(std::move(rows), limit, VersionJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("version"), .text = row.Text("name")};
  });
}

base::Result<Json> MlflowMirror::Proposals(const http::Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  ASSIGN_OR_RETURN(Rows rows,
                   database_.Query(std::string(kSelectProposal) +
                                       "WHERE p.created_at < $1 OR (p.created_at = $1 AND "
                                       "p.proposal_id < $2) ORDER BY p.created_at DESC, "
                                       "p.proposal_id DESC LIMIT $3",
                                   {before, cursor ? cursor->text : "", limit + 1}));
  return http::MakePage(std::move(rows), limit, ProposalJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("created_at"), .text = row.Text("proposal_id")};
  });
}

base::Result<Json> MlflowMirror::Dismiss(const std::string& proposal_id, const std::string& by,
                                         base::Time now) {
  ASSIGN_OR_RETURN(Json json, database_.Write([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.Execute("UPDATE rollout_proposals SET state = 'dismissed', "
                                         "changed_at = $2 WHERE proposal_id = $1 AND "
                                         "state = 'open'",
                                         {proposal_id, now}));
    ASSIGN_OR_RETURN(const auto row,
                     transaction.QueryOne(std::string(kSelectProposal) + "WHERE p.proposal_id = $1",
                                          {proposal_id}));
    if (!row) return Error{ErrorCode::kNotFound, "no proposal is called " + proposal_id};
    if (changed == 0) {
      return Error{ErrorCode::kConflict,
                   base::StrCat("proposal ", proposal_id, " is ", row->Text("state"))};
    }
    RETURN_IF_ERROR(access::WriteAudit(transaction, {.at = now,
                                                     .who = by,
                                                     .action = "rollout_proposal.dismiss",
                                                     .subject = proposal_id,
                                                     .detail = row->Text("alias")}));
    return ProposalJson(*row);
  }));
  events_.Publish("rollout_proposal", Json::MakeObject({{"id", proposal_id}}));
  return json;
}

}  // namespace tinysphere::experiment
