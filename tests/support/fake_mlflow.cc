#include "tests/support/fake_mlflow.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/text.h"

namespace tests {

using base::Error;
using base::ErrorCode;
using base::Json;
using tinysphere::outbound::Answer;
using tinysphere::outbound::Request;

namespace {

using Query = std::multimap<std::string, std::string>;

Answer Reply(int status, const Json& body) {
  return {
      .status = status, .headers = {{"content-type", "application/json"}}, .body = body.Write()};
}

Answer Done() { return Reply(200, Json::MakeObject()); }

Answer Refuse(int status, const std::string& code, const std::string& message) {
  return Reply(status, Json::MakeObject({{"error_code", code}, {"message", message}}));
}

Answer Invalid(const std::string& message) {
  return Refuse(400, "INVALID_PARAMETER_VALUE", message);
}
Answer Missing(const std::string& message) {
  return Refuse(404, "RESOURCE_DOES_NOT_EXIST", message);
}
Answer Exists(const std::string& message) {
  return Refuse(400, "RESOURCE_ALREADY_EXISTS", message);
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == ' ' || c == ':' || c == '/';
}

// As mlflow/utils/validation.py: what it is as a file's path must be itself.
bool IsName(const std::string& name) {
  if (name.empty() || name.size() > 250) return false;
  if (!std::all_of(name.begin(), name.end(), IsNameCharacter)) return false;
  for (const std::string_view part : base::Split(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

std::size_t Characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string First(const Query& query, const std::string& name) {
  const auto found = query.find(name);
  return found == query.end() ? "" : found->second;
}

// A body whose fields are all asked for; what is left is unknown, and unknown is refused.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json) {}

  const Json* Find(const std::string& key) {
    asked_.insert(key);
    return json_.Find(key);
  }
  // "" where it is missing or no text; `is_wrong` tells.
  std::string Text(const std::string& key, bool is_wanted = false) {
    const Json* field = Find(key);
    if (field != nullptr && field->is_string()) return field->as_string();
    if (field != nullptr || is_wanted) Wrong(key);
    return "";
  }
  std::int64_t Int(const std::string& key, bool is_wanted = false) {
    const Json* field = Find(key);
    if (field != nullptr && field->is_int()) return field->as_int();
    if (field != nullptr || is_wanted) Wrong(key);
    return 0;
  }
  std::vector<Json> Array(const std::string& key) {
    const Json* field = Find(key);
    if (field == nullptr) return {};
    if (!field->is_array()) Wrong(key);
    return field->is_array() ? field->as_array() : Json::Array();
  }
  FakeMlflow::Pairs Pairs(const std::string& key) {
    FakeMlflow::Pairs pairs;
    for (const Json& pair : Array(key)) {
      Fields fields(pair);
      const std::string name = fields.Text("key", true);
      pairs[name] = fields.Text("value", true);
      if (fields.is_wrong()) Wrong(key);
    }
    return pairs;
  }
  void Wrong(const std::string& key) {
    if (wrong_.empty()) wrong_ = key;
  }
  bool is_wrong() {
    if (json_.is_object()) {
      for (const auto& [key, value] : json_.as_object()) {
        if (!asked_.contains(key)) Wrong(key);
      }
    }
    return !wrong_.empty();
  }
  Answer Refused() const {
    return Invalid("Invalid value or missing value for parameter '" + wrong_ + "'");
  }

 private:
  const Json& json_;
  std::set<std::string> asked_;
  std::string wrong_;
};

Json PairsJson(const FakeMlflow::Pairs& pairs) {
  Json::Array array;
  for (const auto& [key, value] : pairs) {
    array.push_back(Json::MakeObject({{"key", key}, {"value", value}}));
  }
  return array;
}

Json ExperimentJson(const FakeMlflow::Experiment& experiment) {
  return Json::MakeObject({{"experiment_id", experiment.id},
                           {"name", experiment.name},
                           {"artifact_location", "mlflow-artifacts:/" + experiment.id},
                           {"lifecycle_stage", experiment.is_deleted ? "deleted" : "active"},
                           {"tags", PairsJson(experiment.tags)}});
}

Json RunJson(const FakeMlflow::Run& run) {
  Json::Array models;
  for (const std::string& model : run.models) {
    models.push_back(Json::MakeObject({{"model_id", model}, {"step", 0}}));
  }
  Json info = Json::MakeObject(
      {{"run_uuid", run.id},
       {"experiment_id", run.experiment_id},
       {"run_name", run.name},
       {"user_id", ""},
       {"status", run.status},
       {"start_time", run.start_time},
       {"artifact_uri", "mlflow-artifacts:/" + run.experiment_id + "/" + run.id + "/artifacts"},
       {"lifecycle_stage", run.is_deleted ? "deleted" : "active"},
       {"run_id", run.id}});
  if (run.end_time > 0) info.Set("end_time", run.end_time);
  return Json::MakeObject({{"info", std::move(info)},
                           {"data", Json::MakeObject({{"params", PairsJson(run.params)},
                                                      {"tags", PairsJson(run.tags)}})},
                           {"inputs", Json::MakeObject()},
                           {"outputs", Json::MakeObject({{"model_outputs", std::move(models)}})}});
}

Json ModelJson(const FakeMlflow::Model& model) {
  return Json::MakeObject(
      {{"info", Json::MakeObject({{"model_id", model.id},
                                  {"experiment_id", model.experiment_id},
                                  {"name", model.name},
                                  {"artifact_uri", "mlflow-artifacts:/" + model.experiment_id +
                                                       "/models/" + model.id + "/artifacts"},
                                  {"status", model.status},
                                  {"model_type", model.type},
                                  {"source_run_id", model.run_id},
                                  {"tags", PairsJson(model.tags)}})},
       {"data", Json::MakeObject({{"params", PairsJson(model.params)}})}});
}

Json VersionJson(const std::string& name, std::int64_t number, const FakeMlflow::Version& version) {
  return Json::MakeObject({{"name", name},
                           {"version", std::to_string(number)},
                           {"creation_timestamp", 1},
                           {"current_stage", "None"},
                           {"description", version.description},
                           {"source", version.source},
                           {"run_id", version.run_id},
                           {"status", "READY"},
                           {"tags", PairsJson(version.tags)},
                           {"run_link", ""}});
}

Json RegisteredJson(const std::string& name, const FakeMlflow::Registered& model) {
  Json::Array aliases;
  for (const auto& [alias, version] : model.aliases) {
    aliases.push_back(Json::MakeObject({{"alias", alias}, {"version", std::to_string(version)}}));
  }
  return Json::MakeObject({{"name", name},
                           {"description", model.description},
                           {"tags", PairsJson(model.tags)},
                           {"aliases", std::move(aliases)}});
}

// "name = 'x' AND tags.`a` = 'b'": name and tags by their equals sign; nullopt for anything else.
struct Filter {
  std::optional<std::string> name;
  std::optional<std::string> name_like;
  std::optional<std::string> run_id;
  FakeMlflow::Pairs tags;
};

std::optional<Filter> ParseFilter(std::string text) {
  Filter filter;
  while (!text.empty()) {
    const std::size_t cut = text.find(" AND ");
    const std::string part = text.substr(0, cut);
    text = cut == std::string::npos ? "" : text.substr(cut + 5);
    const std::size_t quote = part.find('\'');
    if (quote == std::string::npos || part.back() != '\'' || quote + 1 == part.size()) {
      return std::nullopt;
    }
    const std::string value = part.substr(quote + 1, part.size() - quote - 2);
    if (value.find('\'') != std::string::npos) return std::nullopt;
    const std::string left(base::Trim(part.substr(0, quote)));
    if (left == "name =" || left == "name=") {
      filter.name = value;
    } else if (left == "name LIKE") {
      filter.name_like = value;
    } else if (left == "run_id =" || left == "run_id=") {
      filter.run_id = value;
    } else if (left.starts_with("tags.`") && left.ends_with("` =")) {
      filter.tags[left.substr(6, left.size() - 9)] = value;
    } else {
      return std::nullopt;
    }
  }
  return filter;
}

bool Fits(const FakeMlflow::Pairs& wanted, const FakeMlflow::Pairs& tags) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& pair) {
    const auto found = tags.find(pair.first);
    return found != tags.end() && found->second == pair.second;
  });
}

bool FitsName(const Filter& filter, const std::string& name) {
  if (filter.name) return *filter.name == name;
  if (!filter.name_like) return true;
  const std::string& like = *filter.name_like;
  return like.ends_with('%') ? name.starts_with(like.substr(0, like.size() - 1)) : name == like;
}

std::string Decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const auto byte = base::HexDecode(text.substr(i + 1, 2));
      if (byte.ok()) {
        out += static_cast<char>(byte->front());
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace

std::string FakeMlflow::NewId(const std::string& prefix) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%032llx", static_cast<unsigned long long>(++next_id_));
  return prefix + text.data();
}

const FakeMlflow::Run* FakeMlflow::RunTagged(const std::string& tag,
                                             const std::string& value) const {
  const Run* found = nullptr;
  for (const auto& [id, run] : runs) {
    const auto at = run.tags.find(tag);
    if (run.is_deleted || at == run.tags.end() || at->second != value) continue;
    if (found != nullptr) return nullptr;
    found = &run;
  }
  return found;
}

base::Result<Answer> FakeMlflow::Do(const Request& request) {
  const Error lost{ErrorCode::kUnavailable, "mlflow.test: connection reset"};
  if (is_stopped_) return lost;
  std::string_view rest = request.url;
  rest.remove_prefix(std::string_view("http://mlflow.test").size());
  const std::size_t mark = rest.find('?');
  const std::string path = Decode(rest.substr(0, mark));
  Query query;
  if (mark != std::string_view::npos) {
    for (const std::string_view pair : base::Split(rest.substr(mark + 1), '&')) {
      const std::size_t equals = pair.find('=');
      query.emplace(Decode(pair.substr(0, equals)), Decode(pair.substr(equals + 1)));
    }
  }
  base::Bytes bytes(request.body.begin(), request.body.end());
  if (request.file.file != nullptr) {
    bytes.resize(static_cast<std::size_t>(request.file.bytes));
    std::size_t at = 0;
    while (at < bytes.size()) {
      const auto count =
          request.file.file->ReadAt(request.file.offset + at, std::span(bytes).subspan(at));
      if (!count.ok() || *count == 0) return lost;
      at += *count;
    }
  }
  Json body;
  const bool is_json = std::any_of(request.headers.begin(), request.headers.end(), [](auto& h) {
    return h.first == "Content-Type" && h.second == "application/json";
  });
  if (is_json) {
    const auto parsed = Json::Parse(base::AsText(bytes));
    if (!parsed.ok()) return Invalid("the body is no JSON");
    body = *parsed;
  }
  std::string call = path;
  if (const std::size_t api = call.find("/mlflow/"); api != std::string::npos) {
    call = call.substr(api + 8);
  } else if (path.find("/mlflow-artifacts/") != std::string::npos) {
    call = "artifact";
  }
  call = request.method + " " + call;
  calls.push_back(call);
  const Fault fault = on_call ? on_call(call) : Fault::kNone;
  const auto broken = Refuse(500, "INTERNAL_ERROR", "(psycopg2.OperationalError) SELECT 1");
  if (fault == Fault::kLostBefore) return lost;
  if (fault == Fault::k500Before) return broken;
  if (fault == Fault::k503) return tinysphere::outbound::Answer{503, {}, "<html>"};
  if (fault == Fault::kNoSuchCall) return tinysphere::outbound::Answer{404, {}, "<html>"};
  if (fault == Fault::kBadRequest) {
    return Refuse(400, "BAD_REQUEST", "(psycopg2.InterfaceError) connection already closed");
  }
  auto answer = Answer(request.method, path, query, body, bytes, fault == Fault::kHalf);
  if (fault == Fault::kLostAfter || fault == Fault::kHalf) return lost;
  if (fault == Fault::k500After) return broken;
  return answer;
}

Answer FakeMlflow::Answer(const std::string& method, const std::string& path, const Query& query,
                          const Json& body, base::ByteView bytes, bool is_half) {
  const auto html = tinysphere::outbound::Answer{404, {{"content-type", "text/html"}}, "<html>"};
  if (path == "/health") return {200, {}, "OK"};
  if (path == "/version") return {200, {}, version};
  constexpr std::string_view kApi = "/api/2.0/mlflow/";
  constexpr std::string_view kStore = "/api/2.0/mlflow-artifacts/artifacts";
  if (path.starts_with(kStore)) {
    std::string at = path.substr(kStore.size());
    while (at.starts_with('/')) at.erase(0, 1);
    if (at.find("..") != std::string::npos) return Invalid("Invalid path");
    if (method == "PUT") {
      artifacts[at] = std::string(base::AsText(bytes));
      return {200, {}, ""};
    }
    if (at.empty()) {
      const std::string folder = First(query, "path") + "/";
      std::set<std::string> folders;
      Json::Array files;
      for (const auto& [name, text] : artifacts) {
        if (!name.starts_with(folder)) continue;
        const std::string below = name.substr(folder.size());
        const std::size_t slash = below.find('/');
        if (slash == std::string::npos) {
          files.push_back(
              Json::MakeObject({{"path", below}, {"is_dir", false}, {"file_size", text.size()}}));
        } else if (folders.insert(below.substr(0, slash)).second) {
          files.push_back(Json::MakeObject({{"path", below.substr(0, slash)}, {"is_dir", true}}));
        }
      }
      return Reply(200, Json::MakeObject({{"files", std::move(files)}}));
    }
    const auto found = artifacts.find(at);
    if (found == artifacts.end()) return Refuse(500, "INTERNAL_ERROR", "HeadObject: Not Found");
    return {200, {}, found->second};
  }
  if (path == "/model-versions/get-artifact") {
    const std::string file = First(query, "path");
    if (file.find("..") != std::string::npos) return Invalid("Invalid path");
    const auto model = registered.find(First(query, "name"));
    const auto number = base::ParseInt(First(query, "version"));
    if (model == registered.end() || !number.ok() || !model->second.versions.contains(*number)) {
      return Missing("Model Version not found");
    }
    const std::string id = model->second.versions[*number].source.substr(8);
    const auto at = models.find(id);
    const std::string prefix =
        at == models.end() ? "?" : at->second.experiment_id + "/models/" + id + "/artifacts/";
    const auto found = artifacts.find(prefix + file);
    if (found == artifacts.end()) return Refuse(500, "INTERNAL_ERROR", "HeadObject: Not Found");
    return {200, {}, found->second};
  }
  if (!path.starts_with(kApi)) return html;
  const std::string call = method + " " + path.substr(kApi.size());
  Fields fields(body);

  const auto run_of = [&](const std::string& id) {
    const auto found = runs.find(id);
    return found == runs.end() ? nullptr : &found->second;
  };

  // ---- experiments
  if (call == "GET experiments/get-by-name" || call == "GET experiments/get") {
    for (const auto& [id, experiment] : experiments) {
      if (id == First(query, "experiment_id") ||
          experiment.name == First(query, "experiment_name")) {
        return Reply(200, Json::MakeObject({{"experiment", ExperimentJson(experiment)}}));
      }
    }
    return Missing("Could not find experiment");
  }
  if (call == "POST experiments/create") {
    const std::string name = fields.Text("name", true);
    const Pairs tags = fields.Pairs("tags");
    if (fields.is_wrong()) return fields.Refused();
    if (name.empty()) return Invalid("Missing value for required parameter 'name'.");
    if (Characters(name) > 500) return Invalid("'name' exceeds the maximum length of 500");
    for (const auto& [id, experiment] : experiments) {
      if (experiment.name == name) return Exists("Experiment already exists. (psycopg2...)");
    }
    const std::string id = std::to_string(++next_id_);
    experiments[id] = {.id = id, .name = name, .is_deleted = false, .tags = tags};
    return Reply(200, Json::MakeObject({{"experiment_id", id}}));
  }
  if (call == "POST experiments/restore" || call == "POST experiments/delete") {
    const std::string id = fields.Text("experiment_id", true);
    if (fields.is_wrong()) return fields.Refused();
    if (!experiments.contains(id)) return Missing("No Experiment with that id exists");
    experiments[id].is_deleted = call == "POST experiments/delete";
    return Done();
  }
  if (call == "POST experiments/set-experiment-tag") {
    const std::string id = fields.Text("experiment_id", true);
    const std::string key = fields.Text("key", true);
    const std::string value = fields.Text("value", true);
    if (fields.is_wrong()) return fields.Refused();
    if (!experiments.contains(id)) return Missing("No Experiment with that id exists");
    experiments[id].tags[key] = value;
    return Done();
  }
  if (call == "POST experiments/search" || call == "GET experiments/search") {
    const bool is_post = method == "POST";
    const std::int64_t most = is_post ? fields.Int("max_results")
                              : base::ParseInt(First(query, "max_results")).ok()
                                  ? *base::ParseInt(First(query, "max_results"))
                                  : 0;
    const auto filter = ParseFilter(is_post ? fields.Text("filter") : First(query, "filter"));
    fields.Find("view_type");
    fields.Find("order_by");
    if (fields.is_wrong()) return fields.Refused();
    if (most <= 0) return Invalid("Invalid value 0 for parameter 'max_results' supplied.");
    if (most > 50000) return Invalid("Invalid value for parameter 'max_results'.");
    if (!filter) return Invalid("Invalid attribute key");
    Json::Array found;
    for (const auto& [id, experiment] : experiments) {
      if (!experiment.is_deleted && FitsName(*filter, experiment.name)) {
        found.push_back(ExperimentJson(experiment));
      }
    }
    return Reply(200, Json::MakeObject({{"experiments", std::move(found)}}));
  }

  // ---- runs
  if (call == "POST runs/create") {
    const std::string experiment = fields.Text("experiment_id", true);
    const std::string name = fields.Text("run_name");
    const std::int64_t start = fields.Int("start_time");
    const Pairs tags = fields.Pairs("tags");
    if (fields.is_wrong()) return fields.Refused();
    if (!experiments.contains(experiment)) return Missing("No Experiment with that id exists");
    if (experiments[experiment].is_deleted) return Invalid("must be in the 'active' state.");
    Run run;
    run.id = NewId("");
    run.experiment_id = experiment;
    run.name = name;
    run.start_time = start;
    run.tags = tags;
    for (const auto& [key, value] : tags) {
      if (!IsName(key) || Characters(value) > 8000) return Invalid("Invalid tag");
    }
    runs[run.id] = run;
    return Reply(200, Json::MakeObject({{"run", RunJson(run)}}));
  }
  if (call == "GET runs/get") {
    const Run* run = run_of(First(query, "run_id"));
    if (run == nullptr) return Missing("Run not found");
    return Reply(200, Json::MakeObject({{"run", RunJson(*run)}}));
  }
  if (call == "POST runs/log-batch") {
    Run* run = run_of(fields.Text("run_id", true));
    const Pairs tags = fields.Pairs("tags");
    const Pairs params = fields.Pairs("params");
    const auto metrics = fields.Array("metrics");
    if (fields.is_wrong()) return fields.Refused();
    if (body.Write().size() > 1'000'000) return Invalid("Batched logging API requests ... 1 MB");
    if (metrics.size() > 1000 || tags.size() > 100 || params.size() > 100 ||
        metrics.size() + tags.size() + params.size() > 1000) {
      return Invalid("A batch logging request can contain at most 1000 metrics ...");
    }
    std::vector<Metric> points;
    for (const Json& json : metrics) {
      Fields point(json);
      const Json* value = point.Find("value");
      Metric metric{.key = point.Text("key", true),
                    .value = 0.0,
                    .timestamp = point.Int("timestamp", true),
                    .step = point.Int("step", true)};
      point.Find("model_id");
      // The real one stores 0 at time 0.
      if (value == nullptr || !value->is_number()) point.Wrong("value");
      if (point.is_wrong()) return point.Refused();
      metric.value = value->as_double();
      if (!IsName(metric.key)) return Invalid("Invalid value for parameter 'metrics[0].name'");
      points.push_back(metric);
    }
    for (const auto& [key, value] : params) {
      if (!IsName(key) || Characters(value) > 6000) return Invalid("Invalid parameter");
    }
    for (const auto& [key, value] : tags) {
      if (!IsName(key) || Characters(value) > 8000) return Invalid("Invalid tag");
    }
    if (run == nullptr) return Missing("Run not found");
    if (run->is_deleted) return Invalid("must be in the 'active' state.");
    for (const auto& [key, value] : params) {
      const auto before = run->params.find(key);
      if (before != run->params.end() && before->second != value) {
        return Invalid("Changing param values is not allowed.");
      }
    }
    if (is_half) points.resize(points.size() / 2);
    // The real one lets the very same point go; a doubled one must show here.
    run->metrics.insert(run->metrics.end(), points.begin(), points.end());
    for (const auto& [key, value] : params) run->params[key] = value;
    if (!is_half) {
      for (const auto& [key, value] : tags) run->tags[key] = value;
    }
    return Done();
  }
  if (call == "POST runs/set-tag") {
    Run* run = run_of(fields.Text("run_id", true));
    const std::string key = fields.Text("key", true);
    const std::string value = fields.Text("value", true);
    if (fields.is_wrong()) return fields.Refused();
    if (run == nullptr) return Missing("Run not found");
    run->tags[key] = value;
    return Done();
  }
  if (call == "GET metrics/get-history") {
    const Run* run = run_of(First(query, "run_id"));
    if (run == nullptr) return Missing("Run not found");
    Json::Array found;
    for (const Metric& metric : run->metrics) {
      if (metric.key != First(query, "metric_key")) continue;
      found.push_back(Json::MakeObject({{"key", metric.key},
                                        {"value", metric.value},
                                        {"timestamp", metric.timestamp},
                                        {"step", metric.step}}));
    }
    if (found.empty()) return Done();
    return Reply(200, Json::MakeObject({{"metrics", std::move(found)}}));
  }
  if (call == "POST runs/search") {
    const auto ids = fields.Array("experiment_ids");
    const auto filter = ParseFilter(fields.Text("filter"));
    const bool is_all = fields.Text("run_view_type") == "ALL";
    fields.Find("max_results");
    fields.Find("order_by");
    if (fields.is_wrong()) return fields.Refused();
    if (!filter) return Invalid("Invalid entity type");
    Json::Array found;
    for (const auto& [id, run] : runs) {
      const bool is_of_these = std::any_of(
          ids.begin(), ids.end(), [&](const Json& one) { return one == Json(run.experiment_id); });
      if (is_of_these && (is_all || !run.is_deleted) && Fits(filter->tags, run.tags)) {
        found.push_back(RunJson(run));
      }
    }
    return Reply(200, Json::MakeObject({{"runs", std::move(found)}}));
  }
  if (call == "POST runs/update") {
    Run* run = run_of(fields.Text("run_id", true));
    const std::string status = fields.Text("status");
    const std::int64_t end = fields.Int("end_time");
    if (fields.is_wrong()) return fields.Refused();
    constexpr std::array kKnown = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
    if (std::find(kKnown.begin(), kKnown.end(), status) == kKnown.end()) {
      return Invalid("Unknown status");  // The real one ignores it.
    }
    if (run == nullptr) return Missing("Run not found");
    run->status = status;
    run->end_time = end;
    return Reply(200, Json::MakeObject({{"run_info", *RunJson(*run).Find("info")}}));
  }
  if (call == "POST runs/delete") {
    Run* run = run_of(fields.Text("run_id", true));
    if (fields.is_wrong()) return fields.Refused();
    if (run == nullptr) return Missing("Run not found");
    run->is_deleted = true;
    return Done();
  }
  if (call == "POST runs/log-inputs") {
    Run* run = run_of(fields.Text("run_id", true));
    const auto datasets = fields.Array("datasets");
    if (fields.is_wrong()) return fields.Refused();
    if (run == nullptr) return Missing("Run not found");
    for (const Json& input : datasets) {
      const Json* described = input.Find("dataset");
      if (described == nullptr) return Invalid("dataset");
      Fields dataset(*described);
      const std::string name = dataset.Text("name", true);
      const std::string digest = dataset.Text("digest", true);
      dataset.Text("source_type", true);
      dataset.Text("source", true);
      dataset.Text("profile");
      dataset.Text("schema");
      if (dataset.is_wrong()) return dataset.Refused();
      if (name.empty() || digest.empty() || digest.size() > 36) return Invalid("dataset");
      run->datasets.emplace(name, digest);
    }
    return Done();
  }
  if (call == "POST runs/outputs") {
    Run* run = run_of(fields.Text("run_id", true));
    const auto outputs = fields.Array("models");
    if (fields.is_wrong()) return fields.Refused();
    if (run == nullptr) return Missing("Run not found");
    for (const Json& output : outputs) {
      Fields one(output);
      const std::string id = one.Text("model_id", true);
      one.Int("step");
      if (one.is_wrong()) return one.Refused();
      if (std::find(run->models.begin(), run->models.end(), id) != run->models.end()) {
        return Refuse(400, "BAD_REQUEST", "(psycopg2.errors.UniqueViolation) duplicate key");
      }
      run->models.push_back(id);
    }
    return Done();
  }

  // ---- logged models
  if (call == "POST logged-models") {
    Model model;
    model.experiment_id = fields.Text("experiment_id", true);
    model.name = fields.Text("name", true);
    model.type = fields.Text("model_type");
    model.run_id = fields.Text("source_run_id");
    model.params = fields.Pairs("params");
    model.tags = fields.Pairs("tags");
    if (fields.is_wrong()) return fields.Refused();
    if (model.name.empty() || model.name.find_first_of("/:.%\"'") != std::string::npos) {
      return Invalid("Invalid model name");
    }
    if (!experiments.contains(model.experiment_id)) return Missing("No Experiment exists");
    model.id = NewId("m-");
    models[model.id] = model;
    return Reply(200, Json::MakeObject({{"model", ModelJson(model)}}));
  }
  if (call == "POST logged-models/search") {
    const auto ids = fields.Array("experiment_ids");
    const auto filter = ParseFilter(fields.Text("filter"));
    fields.Find("max_results");
    if (fields.is_wrong()) return fields.Refused();
    if (!filter) return Invalid("Invalid filter");
    Json::Array found;
    for (const auto& [id, model] : models) {
      const bool is_of_these = std::any_of(ids.begin(), ids.end(), [&](const Json& one) {
        return one == Json(model.experiment_id);
      });
      if (is_of_these && Fits(filter->tags, model.tags)) found.push_back(ModelJson(model));
    }
    return Reply(200, Json::MakeObject({{"models", std::move(found)}}));
  }
  if (path.starts_with("/api/2.0/mlflow/logged-models/")) {
    std::string id = path.substr(std::string_view("/api/2.0/mlflow/logged-models/").size());
    const std::size_t slash = id.find('/');
    const std::string below = slash == std::string::npos ? "" : id.substr(slash);
    id = id.substr(0, slash);
    const auto found = models.find(id);
    if (found == models.end()) return Missing("Logged model with ID not found.");
    if (below == "/tags" || below == "/params") {
      fields.Find("model_id");
      const Pairs more = fields.Pairs(below.substr(1));
      if (fields.is_wrong()) return fields.Refused();
      for (const auto& [key, value] : more) {
        (below == "/tags" ? found->second.tags : found->second.params)[key] = value;
      }
      return Done();
    }
    if (!below.empty() && below != "/artifacts/directories") return html;
    if (method == "GET") return Reply(200, Json::MakeObject({{"model", ModelJson(found->second)}}));
    if (method == "DELETE") {
      models.erase(found);
      return Done();
    }
    fields.Find("model_id");
    const std::string status = fields.Text("status", true);
    if (fields.is_wrong()) return fields.Refused();
    if (status != "LOGGED_MODEL_READY" && status != "LOGGED_MODEL_UPLOAD_FAILED") {
      return Invalid("Unknown status");  // The real one makes it unspecified.
    }
    found->second.status = status;
    return Reply(200, Json::MakeObject({{"model", ModelJson(found->second)}}));
  }

  // ---- registry
  if (call == "POST registered-models/create") {
    const std::string name = fields.Text("name", true);
    const std::string description = fields.Text("description");
    const Pairs tags = fields.Pairs("tags");
    if (fields.is_wrong()) return fields.Refused();
    if (name.empty() || name.find_first_of("/:") != std::string::npos) {
      return Invalid("Invalid model name. Names cannot contain '/' or ':'.");
    }
    if (registered.contains(name)) return Exists("Registered Model already exists.");
    registered[name].description = description;
    registered[name].tags = tags;
    return Reply(200,
                 Json::MakeObject({{"registered_model", RegisteredJson(name, registered[name])}}));
  }
  if (call == "GET registered-models/get") {
    const std::string name = First(query, "name");
    if (!registered.contains(name)) return Missing("Registered Model not found");
    return Reply(200,
                 Json::MakeObject({{"registered_model", RegisteredJson(name, registered[name])}}));
  }
  if (call == "GET registered-models/search") {
    const auto filter = ParseFilter(First(query, "filter"));
    const auto most = base::ParseInt(First(query, "max_results"));
    if (!filter) return Invalid("Invalid attribute key");
    if (most.ok() && *most > 1000) return Invalid("Invalid value for parameter 'max_results'");
    Json::Array found;
    for (const auto& [name, model] : registered) {
      if (FitsName(*filter, name)) found.push_back(RegisteredJson(name, model));
    }
    return Reply(200, Json::MakeObject({{"registered_models", std::move(found)}}));
  }
  if (call == "POST registered-models/set-tag" || call == "PATCH registered-models/update") {
    const std::string name = fields.Text("name", true);
    const std::string key = fields.Text("key");
    const std::string value = fields.Text("value");
    const std::string description = fields.Text("description");
    if (fields.is_wrong()) return fields.Refused();
    if (!registered.contains(name)) return Missing("Registered Model not found");
    if (!key.empty()) registered[name].tags[key] = value;
    if (!description.empty()) registered[name].description = description;
    return Done();
  }
  if (call == "POST model-versions/create") {
    const std::string name = fields.Text("name", true);
    Version made{.description = fields.Text("description"),
                 .source = fields.Text("source", true),
                 .run_id = fields.Text("run_id"),
                 .tags = fields.Pairs("tags")};
    const std::string model_id = fields.Text("model_id");
    if (fields.is_wrong()) return fields.Refused();
    if (!registered.contains(name)) return Missing("Registered Model not found");
    const bool is_model = made.source.starts_with("models:/");
    const bool is_of_run =
        !made.run_id.empty() &&
        (made.source.starts_with("runs:/" + made.run_id + "/") ||
         (made.source.starts_with("mlflow-artifacts:/") &&
          made.source.find("/" + made.run_id + "/artifacts") != std::string::npos));
    if (!is_model && !is_of_run) return Invalid("Invalid model version source");
    if (is_model && !models.contains(made.source.substr(8))) {
      return Refuse(500, "INTERNAL_ERROR", "Unable to fetch model from model URI");
    }
    if (is_model && made.source.substr(8) != model_id) return Invalid("model_id");
    Registered& model = registered[name];
    model.versions[++model.last_version] = made;
    return Reply(
        200, Json::MakeObject({{"model_version", VersionJson(name, model.last_version, made)}}));
  }
  if (call == "GET model-versions/search") {
    const auto filter = ParseFilter(First(query, "filter"));
    const auto most = base::ParseInt(First(query, "max_results"));
    if (!filter) return Invalid("Invalid filter");
    if (most.ok() && *most > 200'000) return Invalid("Invalid value for parameter 'max_results'");
    Json::Array found;
    for (const auto& [name, model] : registered) {
      for (const auto& [number, one] : model.versions) {
        const bool is_of_run = !filter->run_id || one.run_id == *filter->run_id;
        if (FitsName(*filter, name) && is_of_run && Fits(filter->tags, one.tags)) {
          found.push_back(VersionJson(name, number, one));
        }
      }
    }
    return Reply(200, Json::MakeObject({{"model_versions", std::move(found)}}));
  }
  if (call == "GET model-versions/get" || call == "GET model-versions/get-download-uri") {
    const auto number = base::ParseInt(First(query, "version"));
    if (!number.ok()) return Invalid("Parameter 'version' must be an integer");
    const auto model = registered.find(First(query, "name"));
    if (model == registered.end() || !model->second.versions.contains(*number)) {
      return Missing("Model Version not found");
    }
    return Reply(
        200, Json::MakeObject({{"model_version", VersionJson(model->first, *number,
                                                             model->second.versions[*number])}}));
  }
  if (call == "DELETE model-versions/delete" || call == "POST model-versions/set-tag" ||
      call == "DELETE model-versions/delete-tag" || call == "PATCH model-versions/update") {
    const std::string name = fields.Text("name", true);
    const auto number = base::ParseInt(fields.Text("version", true));
    const std::string key = fields.Text("key");
    const std::string value = fields.Text("value");
    const std::string description = fields.Text("description");
    if (fields.is_wrong()) return fields.Refused();
    if (!number.ok()) return Invalid("Parameter 'version' must be an integer");
    if (!registered.contains(name) || !registered[name].versions.contains(*number)) {
      return Missing("Model Version not found");
    }
    if (call == "DELETE model-versions/delete") registered[name].versions.erase(*number);
    if (call == "POST model-versions/set-tag") registered[name].versions[*number].tags[key] = value;
    if (call == "DELETE model-versions/delete-tag") {
      registered[name].versions[*number].tags.erase(key);
    }
    if (!description.empty()) registered[name].versions[*number].description = description;
    return Done();
  }
  if (call == "POST registered-models/alias") {
    const std::string name = fields.Text("name", true);
    const std::string alias = fields.Text("alias", true);
    const auto number = base::ParseInt(fields.Text("version", true));
    if (fields.is_wrong() || !number.ok()) return fields.Refused();
    const bool is_of_alias = std::all_of(alias.begin(), alias.end(), [](char c) {
      return IsNameCharacter(c) && c != '.' && c != ' ' && c != ':' && c != '/';
    });
    const bool is_reserved = alias == "latest" || (alias.size() > 1 && alias[0] == 'v' &&
                                                   base::ParseInt(alias.substr(1)).ok());
    if (!is_of_alias || is_reserved) return Invalid("Invalid alias name");
    if (!registered.contains(name) || !registered[name].versions.contains(*number)) {
      return Missing("Model Version not found");
    }
    registered[name].aliases[alias] = *number;
    return Done();
  }
  if (call == "GET registered-models/alias") {
    const auto model = registered.find(First(query, "name"));
    const std::string alias = First(query, "alias");
    if (model == registered.end() || !model->second.aliases.contains(alias)) {
      return Invalid("Registered model alias not found.");
    }
    const std::int64_t number = model->second.aliases[alias];
    return Reply(
        200, Json::MakeObject({{"model_version", VersionJson(model->first, number,
                                                             model->second.versions[number])}}));
  }
  if (call == "DELETE registered-models/alias") {
    const std::string name = fields.Text("name", true);
    const std::string alias = fields.Text("alias", true);
    if (fields.is_wrong()) return fields.Refused();
    registered[name].aliases.erase(alias);
    return Done();
  }
  return html;
}

}  // namespace tests
