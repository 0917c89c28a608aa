#include <map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/legacy/pages.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::FieldOrNull;
using http::Method;
using http::Request;
using store::Row;
using store::Rows;

namespace {

std::string StageName(std::string stage) {
  if (stage.empty()) return "None";
  if (stage[0] >= 'a' && stage[0] <= 'z') stage[0] = static_cast<char>(stage[0] - 32);
  return stage;
}

constexpr std::string_view kSelectVersion =
    "SELECT v.name, v.version, v.stage, v.bundle, v.archive_sha256, v.created_at, v.created_by "
    "FROM model_versions v WHERE v.name = $1 ";

Json VersionJson(const Row& row) {
  const std::string created_at = base::FormatTime(row.Time("created_at"));
  return Json::MakeObject({{"name", row.Text("name")},
                           {"version", row.Text("version")},
                           {"stage", StageName(row.Text("stage"))},
                           {"source", "/artifacts/" + row.Text("archive_sha256")},
                           {"run_id", nullptr},
                           {"creation_timestamp", created_at},
                           {"last_updated_timestamp", created_at},
                           {"description", "bundle " + row.Text("bundle")},
                           {"is_production", row.Text("stage") == "production"}});
}

// An integer or a text of a JSON body, as the text that a version is called.
std::string VersionText(const Json& version) {
  if (version.is_string()) return version.as_string();
  return version.is_int() ? std::to_string(version.as_int()) : "";
}

}  // namespace

base::Result<Json> Pages::Models(const Request&) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT name FROM models ORDER BY name LIMIT 1000"));
  Json::Array names;
  for (const Row& row : rows) names.push_back(row.Text("name"));
  return Json(std::move(names));
}

base::Result<Json> Pages::Versions(const Request& request) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query(std::string(kSelectVersion) +
                                       "ORDER BY v.created_at DESC, v.version DESC LIMIT 1000",
                                   {request.Param("name")}));
  if (rows.empty()) {
    return Error{ErrorCode::kNotFound, "no model is called " + request.Param("name")};
  }
  Json::Array versions;
  for (const Row& row : rows) versions.push_back(VersionJson(row));
  return Json(std::move(versions));
}

// A registered version is always in one of three stages: "None" is none of them.
base::Result<Json> Pages::Transition(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "transition");
  std::string stage = reader.String("stage", {.bytes_max = 32});
  RETURN_IF_ERROR(reader.status());
  if (stage != "Staging" && stage != "Production" && stage != "Archived") {
    return Error{ErrorCode::kInvalidArgument, "stage: Staging, Production or Archived"};
  }
  stage[0] = static_cast<char>(stage[0] + 32);
  const std::string& name = request.Param("name");
  const std::string& version = request.Param("version");
  RETURN_IF_ERROR(registry_.SetStage(name, version, stage, request.identity.id));
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne(std::string(kSelectVersion) + "AND v.version = $2", {name, version}));
  if (!row) return Error{ErrorCode::kNotFound, base::StrCat("no version ", version, " of ", name)};
  return VersionJson(*row);
}

// What the run that recorded its import says of a bundle; {} where there is none.
base::Result<Json> Pages::FiguresOfBundle(const std::string& bundle, std::string& run_id) {
  Json figures = Json::MakeObject();
  ASSIGN_OR_RETURN(const auto run, database_.QueryOne("SELECT run_id FROM runs WHERE run_key = $1",
                                                      {"import:" + bundle}));
  if (!run) return figures;
  run_id = run->Text("run_id");
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT name, value FROM run_metrics WHERE run_id = $1 "
                                   "ORDER BY name, step",
                                   {run_id}));
  for (const Row& row : rows) figures.Set(row.Text("name"), row.Double("value"));
  return figures;
}

base::Result<Json> Pages::ModelMetrics(const Request& request) {
  const std::string metric(request.Query("metric"));
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query(std::string(kSelectVersion) +
                                       "ORDER BY v.created_at DESC, v.version DESC LIMIT 100",
                                   {request.Param("name")}));
  if (rows.empty()) {
    return Error{ErrorCode::kNotFound, "no model is called " + request.Param("name")};
  }
  Json::Array versions;
  for (const Row& row : rows) {
    std::string run_id;
    ASSIGN_OR_RETURN(Json figures, FiguresOfBundle(row.Text("bundle"), run_id));
    if (!metric.empty()) {
      const Json* chosen = figures.Find(metric);
      const Json value = chosen ? *chosen : Json();
      figures = Json::MakeObject();
      if (!value.is_null()) figures.Set(metric, value);
    }
    versions.push_back(Json::MakeObject({{"version", row.Text("version")},
                                         {"stage", StageName(row.Text("stage"))},
                                         {"run_id", TextOrNull(run_id)},
                                         {"created_at", base::FormatTime(row.Time("created_at"))},
                                         {"metrics", std::move(figures)}}));
  }
  return Json(std::move(versions));
}

// ?model_name= and [versions] as the prototype's server wants it, or both in one object as its
// dashboard sends it. `diff` where two are compared: the second less the first.
base::Result<Json> Pages::Compare(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  std::string name(request.Query("model_name"));
  const Json* listed = body.is_array() ? &body : body.Find("versions");
  if (const Json* named = body.Find("model_name"); named && named->is_string()) {
    name = named->as_string();
  }
  if (name.empty()) return Error{ErrorCode::kInvalidArgument, "model_name: missing"};
  if (listed == nullptr || !listed->is_array() || listed->as_array().empty() ||
      listed->as_array().size() > 3) {
    return Error{ErrorCode::kInvalidArgument, "versions: one to three are wanted"};
  }
  std::map<std::string, Json> values;  // By metric.
  std::vector<std::string> versions;
  for (const Json& one : listed->as_array()) {
    const std::string version = VersionText(one);
    ASSIGN_OR_RETURN(
        const auto row,
        database_.QueryOne(std::string(kSelectVersion) + "AND v.version = $2", {name, version}));
    if (!row) {
      return Error{ErrorCode::kNotFound, base::StrCat("no version ", version, " of ", name)};
    }
    std::string run_id;
    ASSIGN_OR_RETURN(const Json figures, FiguresOfBundle(row->Text("bundle"), run_id));
    for (const auto& [metric, value] : figures.as_object()) values[metric].Set(version, value);
    versions.push_back(version);
  }
  Json::Array compared;
  for (const auto& [metric, by_version] : values) {
    Json line = Json::MakeObject({{"metric", metric}, {"values", by_version}});
    if (versions.size() == 2) {
      const auto first = NumberIn(by_version, versions[0]);
      const auto second = NumberIn(by_version, versions[1]);
      if (first && second) line.Set("diff", *second - *first);
    }
    compared.push_back(std::move(line));
  }
  return Json(std::move(compared));
}

void Pages::AddModelPages(http::Router& router) {
  Get(router, "/api/models", &Pages::Models);
  Get(router, "/api/models/", &Pages::Models);
  Get(router, "/api/models/{name}/versions", &Pages::Versions);
  Get(router, "/api/models/{name}/metrics", &Pages::ModelMetrics);
  Change(router, Method::kPost, "/api/models/{name}/versions/{version}/transition",
         &Pages::Transition);
  Change(router, Method::kPost, "/api/models/compare", &Pages::Compare);
}

}  // namespace tinysphere::legacy
