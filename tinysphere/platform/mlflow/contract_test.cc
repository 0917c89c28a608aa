// The fake of the unit tests against what a real MLflow 3.17.2 was recorded to answer.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "base/json.h"
#include "base/text.h"
#include "tests/support/fake_mlflow.h"

namespace tinysphere::mlflow {
namespace {

using base::Json;

// The real one answers 200 here and stores something else, or forgives what we never send.
const std::set<std::string> kStricterOnPurpose = {
    "log_batch_value_string",       // "abc" is stored as 0.
    "log_batch_value_NaN_string",   // So is NaN,
    "log_batch_value_NaN_literal",  // as a literal, which is no JSON, too,
    "log_batch_value_Infinity",     // and infinity becomes a large number.
    "log_batch_int64_as_string",    // A time as text.
    "log_batch_unknown_field",      // Ignored.
    "log_batch_no_step",            // Step 0, by the way.
    "log_batch_param_6001",         // Cut.
    "log_batch_tag_8001",           // Cut.
    "run_update_bad_status",        // Ignored.
    "logged_model_finalize_bad",    // Becomes unspecified.
    "log_batch_params_1MB_plus",    // More than 1 MB is let pass where it is parameters alone.
};

// What the bridge does not use and the fake does not have; and what is about the connection.
const std::set<std::string> kNotInTheFake = {"host_header_refused",
                                             "cors_refused",
                                             "unknown_endpoint",
                                             "experiment_create_no_content_type",
                                             "artifact_mpu_create",
                                             "presigned_upload_url",
                                             "presigned_upload_url_run",
                                             "presigned_download_url",
                                             "run_artifact_list",
                                             "transition_stage",
                                             "transition_stage_bad",
                                             "transition_stage_no_archive_field",
                                             "transition_stage_none",
                                             "get_latest_versions",
                                             "log_model_2x_style",
                                             "webhook_create_private",
                                             "webhook_list",
                                             "webhook_create_v2",
                                             "experiment_create_bad_json"};

std::string TextOf(const Json& json, const char* key) {
  const Json* field = json.Find(key);
  return field != nullptr && field->is_string() ? field->as_string() : "";
}

std::vector<Json> Recorded() {
  std::ifstream file("data/mlflow_contract/exchanges.jsonl");
  std::vector<Json> exchanges;
  for (std::string line; std::getline(file, line);) {
    auto parsed = Json::Parse(line);
    EXPECT_TRUE(parsed.ok()) << line.substr(0, 80);
    if (parsed.ok()) exchanges.push_back(*parsed);
  }
  return exchanges;
}

// Ids that the recorded server gave, and those that the fake gave in their place.
class Names {
 public:
  std::string Translate(std::string text) const {
    for (const auto& [theirs, ours] : map_) {
      for (std::size_t at = 0; (at = text.find(theirs, at)) != std::string::npos;) {
        text.replace(at, theirs.size(), ours);
        at += ours.size();
      }
    }
    return text;
  }
  void Learn(const Json& theirs, const Json& ours) {
    if (theirs.is_string() && ours.is_string()) return;
    if (!theirs.is_object() || !ours.is_object()) return;
    for (const auto& [key, value] : theirs.as_object()) {
      const Json* mine = ours.Find(key);
      if (mine == nullptr) continue;
      const bool is_id = key == "run_id" || key == "model_id";
      if (is_id && value.is_string() && mine->is_string()) {
        map_[value.as_string()] = mine->as_string();
      }
      if (key == "experiment_id" && value.is_string())
        experiments_[value.as_string()] = mine->as_string();
      Learn(value, *mine);
    }
  }
  // Experiments are called "1": replaced only where an experiment is meant.
  std::string Experiment(const std::string& id) const {
    const auto found = experiments_.find(id);
    return found == experiments_.end() ? id : found->second;
  }

 private:
  std::map<std::string, std::string> map_;
  std::map<std::string, std::string> experiments_;
};

Json WithExperiments(const Json& body, const Names& names) {
  Json out = body;
  if (!out.is_object()) return out;
  if (const Json* id = out.Find("experiment_id"); id != nullptr && id->is_string()) {
    out.Set("experiment_id", names.Experiment(id->as_string()));
  }
  if (const Json* ids = out.Find("experiment_ids"); ids != nullptr) {
    Json::Array array;
    for (const Json& id : ids->as_array()) array.emplace_back(names.Experiment(id.as_string()));
    out.Set("experiment_ids", array);
  }
  return out;
}

// What was cut when it was written down, made as long again: texts that say how long they were, and
// the lists of 101 of which 20 are kept.
Json Restored(const Json& json, const std::string& name) {
  if (json.is_string()) {
    const std::string& text = json.as_string();
    const std::size_t cut = text.rfind("...[cut, ");
    if (cut == std::string::npos) return json;
    const std::string_view rest = std::string_view(text).substr(cut + 9);
    const auto length = base::ParseInt(rest.substr(0, rest.find(' ')));
    return std::string(length.ok() ? static_cast<std::size_t>(*length) : 0, 'v');
  }
  if (json.is_array()) {
    Json::Array array;
    for (const Json& one : json.as_array()) array.push_back(Restored(one, name));
    const bool is_cut = name == "log_batch_101_params" || name == "log_batch_101_tags";
    for (int i = 0; is_cut && array.size() < 101; ++i) {
      array.push_back(Json::MakeObject({{"key", "more" + std::to_string(i)}, {"value", "v"}}));
    }
    return array;
  }
  if (!json.is_object()) return json;
  Json object = Json::MakeObject();
  for (const auto& [key, value] : json.as_object()) object.Set(key, Restored(value, name));
  return object;
}

TEST(FakeMlflow, AnswersAsTheRealOneWasRecordedTo) {
  const auto exchanges = Recorded();
  ASSERT_EQ(exchanges.size(), 169u);
  tests::FakeMlflow fake;
  Names names;
  int compared = 0;
  for (const Json& exchange : exchanges) {
    const std::string name = TextOf(exchange, "name");
    SCOPED_TRACE(name);
    if (kNotInTheFake.contains(name)) continue;
    const Json& request = *exchange.Find("request");
    const Json& response = *exchange.Find("response");
    Json body = *request.Find("body");
    if (body.is_string()) {
      // Too long to be kept, or no JSON: made anew from its description, or refused unread.
      const std::string text = body.as_string();
      if (!text.starts_with("<")) {
        EXPECT_TRUE(kStricterOnPurpose.contains(name));
        continue;
      }
      const std::string run_id = fake.runs.begin()->first;
      Json::Array items;
      const bool is_params = name == "log_batch_params_1MB_plus";
      const int count = name == "log_batch_1000_metrics" ? 1000 : 1001;
      for (int i = 0; i < (is_params ? 100 : count); ++i) {
        Json item = Json::MakeObject({{"key", (is_params ? "big" : "m") + std::to_string(i)}});
        if (is_params) {
          item.Set("value", std::string(11'000, 'v'));
        } else {
          item.Set("value", 1.5);
          item.Set("timestamp", 1795218105611);
          item.Set("step", 0);
        }
        items.push_back(item);
      }
      body = Json::MakeObject({{"run_id", run_id}, {is_params ? "params" : "metrics", items}});
    } else if (!body.is_null()) {
      body = WithExperiments(*Json::Parse(names.Translate(body.Write())), names);
      body = Restored(body, name);
    }
    std::multimap<std::string, std::string> query;
    if (const Json* given = request.Find("query"); given->is_object()) {
      for (const auto& [key, value] : given->as_object()) {
        if (value.is_array()) continue;
        const std::string text = value.is_string() ? value.as_string() : value.Write();
        query.emplace(key, key == "experiment_id" ? names.Experiment(text) : names.Translate(text));
      }
    }
    std::string path = names.Translate(TextOf(request, "path"));
    if (const std::size_t dots = path.find("%2e%2e"); dots != std::string::npos) {
      path.replace(dots, 6, "..");
    }
    const auto answer =
        fake.Answer(TextOf(request, "method"), path, query, body, base::AsBytes("bytes"));
    const auto status = static_cast<int>(response.Find("status")->as_int());
    if (kStricterOnPurpose.contains(name)) {
      EXPECT_EQ(status, 200);
      EXPECT_EQ(answer.status, 400);
      continue;
    }
    EXPECT_EQ(answer.status, status) << answer.body;
    const auto ours = Json::Parse(answer.body);
    const Json& theirs = *response.Find("body");
    if (theirs.is_object() && ours.ok()) {
      EXPECT_EQ(TextOf(*ours, "error_code"), TextOf(theirs, "error_code")) << answer.body;
      names.Learn(theirs, *ours);
    }
    compared += 1;
  }
  EXPECT_GE(compared, 130);
}

}  // namespace
}  // namespace tinysphere::mlflow
