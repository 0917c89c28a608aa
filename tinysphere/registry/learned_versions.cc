#include "tinysphere/registry/learned_versions.h"

#include <utility>

#include "base/text.h"
#include "tinysphere/adaptation/adaptations.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/conditions.h"

namespace tinysphere::registry {

using base::Json;
using http::FieldOrNull;
using store::Row;
using store::Rows;

namespace {

// A learned part, the bundle it stands on, and the signed bundle that was made of both.
constexpr std::string_view kSelect =
    "SELECT l.device_id, COALESCE(d.name, l.device_id) AS device_name, l.adaptation_sha256, "
    "l.package_id, l.base_bundle, l.document, l.bytes, l.received_at, v.name AS base_name, "
    "v.version AS base_version, v.archive_sha256 AS base_archive, a.judgement, a.judged_at, "
    "(SELECT MIN(w.version) FROM bundles b JOIN model_versions w ON w.bundle = b.bundle "
    "WHERE b.taught = l.adaptation_sha256) AS registered_as "
    "FROM learned_versions l LEFT JOIN devices d ON d.device_id = l.device_id "
    "LEFT JOIN model_versions v ON v.bundle = l.base_bundle "
    "LEFT JOIN adapted a ON a.device_id = l.device_id AND "
    "a.adaptation_sha256 = l.adaptation_sha256 ";

Json TextOrNull(const Row& row, std::string_view column) {
  const auto text = row.OptionalText(column);
  return text ? Json(*text) : Json();
}

Json VersionJson(const Row& row) {
  const Json document = row.Document("document");
  const auto text = [&](const char* key) {
    const Json field = FieldOrNull(document, key);
    return field.is_string() ? field.as_string() : std::string();
  };
  const std::string sha256 = row.Text("adaptation_sha256");
  const auto base_version = row.OptionalText("base_version");
  const std::string name = row.OptionalText("base_name").value_or(text("name"));
  const std::string version = SuggestedVersion(base_version.value_or(text("version")), sha256);
  Json command;
  if (base_version) {
    // Names and versions in a signed manifest hold nothing that a shell would read.
    command = base::StrCat("tinylcm bundle make ", name, "-", *base_version,
                           ".tar.zst --adaptation adaptation.bin --version ", version,
                           " --taught-by ", row.Text("device_id"), " --key PUBLISHER.key --out ",
                           name, "-", version, ".tar.zst");
  }
  Json shown = Json::MakeObject(
      {{"adaptation_sha256", sha256},
       {"device_id", row.Text("device_id")},
       {"device_name", row.Text("device_name")},
       {"received_at", base::FormatTime(row.Time("received_at"))},
       {"name", name},
       {"version", version},
       {"base", Json::MakeObject({{"bundle", row.Text("base_bundle")},
                                  {"name", TextOrNull(row, "base_name")},
                                  {"version", TextOrNull(row, "base_version")},
                                  {"archive_sha256", TextOrNull(row, "base_archive")}})}});
  for (const char* key : {"hypothesis", "challenger", "labels", "vectors", "opened", "taught_by"}) {
    shown.Set(key, FieldOrNull(document, key));
  }
  shown.Set("bytes", row.Int("bytes"));
  shown.Set("state", row.IsNull("registered_as") ? "waiting_for_signature" : "registered");
  shown.Set("registered_as", TextOrNull(row, "registered_as"));
  shown.Set("command", std::move(command));
  shown.Set("judgement", adaptation::JudgementJson(row));
  return shown;
}

}  // namespace

std::string SuggestedVersion(const std::string& base_version, const std::string& sha256) {
  return base::StrCat(base_version, "-learned.", sha256.substr(0, 8));
}

base::Status LearnedVersions::Take(store::Transaction& transaction, const LearnedOrigin& origin,
                                   const protocol::LearnedModel& model) {
  ASSIGN_OR_RETURN(
      const std::int64_t added,
      transaction.Execute(
          "INSERT INTO learned_versions (device_id, adaptation_sha256, package_id, base_bundle, "
          "name, document, object_key, bytes, received_at) "
          "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
          "ON CONFLICT (device_id, adaptation_sha256) DO NOTHING",
          {origin.device_id, model.adaptation_sha256, origin.package_id, model.base_bundle,
           model.name, protocol::ToJson(model).Write(), origin.object_key, origin.bytes,
           origin.received_at}));
  if (added == 0) return {};
  return fleet::Note(transaction,
                     {.at = origin.received_at,
                      .device_id = origin.device_id,
                      .kind = "adaptation",
                      .text = base::StrCat("sent what it learned: ", model.name, " ",
                                           SuggestedVersion(model.version, model.adaptation_sha256),
                                           " waits for the publisher's signature"),
                      .ref = model.adaptation_sha256});
}

base::Result<Json> LearnedVersions::List(const http::Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  store::Conditions where;
  if (cursor) {
    where.Add("(l.received_at, l.package_id) < (?, ?)", {cursor->number, cursor->text});
  }
  if (const auto model = request.Query("model"); !model.empty()) where.Add("l.name = ?", {model});
  const std::string last = where.Bind(limit + 1);
  ASSIGN_OR_RETURN(
      Rows rows,
      database_.Query(base::StrCat(kSelect, where.sql(),
                                   " ORDER BY l.received_at DESC, l.package_id DESC LIMIT ", last),
                      where.params()));
  return http::MakePage(std::move(rows), limit, VersionJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("received_at"), .text = row.Text("package_id")};
  });
}

void LearnedVersions::AddRoutes(http::Router& router) {
  router.Add({.method = http::Method::kGet,
              .path = "/api/v1/learned-versions",
              .access = http::Access::kViewer,
              .body = http::BodyRule::None(),
              .handler = [this](http::Request& request) { return http::Answer(List(request)); },
              .too_large = nullptr});
}

}  // namespace tinysphere::registry
