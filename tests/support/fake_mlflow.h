// FakeMlflow: an MLflow 3 in memory, stricter than the real one, behind outbound::HttpClient.
//
// It answers what a real 3.17.2 was recorded to answer (data/mlflow_contract; a test compares
// them), but refuses what that one damages in silence, and never forgives a metric said twice. A
// test makes any call fail before it happened, after it happened, or in its middle.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tinysphere/outbound/http_client.h"

namespace tests {

class FakeMlflow final : public tinysphere::outbound::HttpClient {
 public:
  enum class Fault {
    kNone,
    kLostBefore,  // The request never arrived.
    kLostAfter,   // It was done; the answer was lost.
    kHalf,        // Half of a batch was done; the answer was lost.
    k500Before,   // 500, and nothing was done.
    k500After,    // 500, and it was done all the same.
    k503,
    kBadRequest,  // Its database failed, which it answers as 400; nothing was done.
    kNoSuchCall,  // A 404 that a proxy gives while MLflow starts anew.
  };
  using Pairs = std::map<std::string, std::string>;
  struct Metric {
    std::string key;
    double value = 0.0;
    std::int64_t timestamp = 0;
    std::int64_t step = 0;
  };
  struct Run {
    std::string id;
    std::string experiment_id;
    std::string name;
    std::string status = "RUNNING";
    std::int64_t start_time = 0;
    std::int64_t end_time = 0;
    bool is_deleted = false;
    Pairs params;
    Pairs tags;
    std::vector<Metric> metrics;
    std::set<std::pair<std::string, std::string>> datasets;  // Name, digest.
    std::vector<std::string> models;
  };
  struct Model {
    std::string id;
    std::string experiment_id;
    std::string name;
    std::string type;
    std::string status = "LOGGED_MODEL_PENDING";
    std::string run_id;
    Pairs params;
    Pairs tags;
  };
  struct Version {
    std::string description;
    std::string source;
    std::string run_id;
    Pairs tags;
  };
  struct Registered {
    std::string description;
    Pairs tags;
    std::map<std::int64_t, Version> versions;
    std::map<std::string, std::int64_t> aliases;
    std::int64_t last_version = 0;
  };
  struct Experiment {
    std::string id;
    std::string name;
    bool is_deleted = false;
    Pairs tags;
  };

  // Asked for each call; "POST runs/log-batch", "PUT artifact", "GET version".
  std::function<Fault(const std::string& call)> on_call;

  base::Result<tinysphere::outbound::Answer> Do(
      const tinysphere::outbound::Request& request) override;
  void Stop() override { is_stopped_ = true; }
  void Reopen() { is_stopped_ = false; }  // For another client.

  // One call as it is recorded; `body` null where there is none.
  tinysphere::outbound::Answer Answer(const std::string& method, const std::string& path,
                                      const std::multimap<std::string, std::string>& query,
                                      const base::Json& body, base::ByteView bytes,
                                      bool is_half = false);

  // What it knows; a test looks and changes as it likes.
  std::map<std::string, Experiment> experiments;  // By id.
  std::map<std::string, Run> runs;
  std::map<std::string, Model> models;
  std::map<std::string, Registered> registered;
  std::map<std::string, std::string> artifacts;  // By path below the store.
  std::vector<std::string> calls;                // In order.
  std::string version = "3.17.2";

  // The one of that tag; nullptr unless there is exactly one.
  const Run* RunTagged(const std::string& tag, const std::string& value) const;

 private:
  std::string NewId(const std::string& prefix);

  bool is_stopped_ = false;
  std::int64_t next_id_ = 0;
};

}  // namespace tests
