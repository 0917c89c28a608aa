#include "agent/config_verbs.h"

#include <iostream>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/config_keys.h"
#include "agent/verbs.h"
#include "base/file_system.h"
#include "base/text.h"

namespace agent {

using base::Json;

namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;

Json Strings(const std::vector<std::string>& texts) {
  Json list = Json::MakeArray();
  for (const std::string& text : texts) list.Append(text);
  return list;
}

Json ToJson(const PrototypeConfig& prototype) {
  Json detectors = Json::MakeArray();
  for (const PrototypeDetector& detector : prototype.detectors) {
    detectors.Append(Json::MakeObject({{"type", detector.type},
                                       {"delta", detector.delta},
                                       {"lambda_threshold", detector.lambda_threshold}}));
  }
  return Json::MakeObject({{"model", prototype.model},
                           {"output_index", prototype.output_index},
                           {"processor", prototype.processor},
                           {"labels", prototype.labels},
                           {"k", prototype.k},
                           {"metric", prototype.metric},
                           {"drift_detectors", std::move(detectors)}});
}

int Check(const std::string& path, bool as_json) {
  const auto text = base::ReadTextFile(base::SystemFileSystem(), path, kFileBytesMax);
  if (!text.ok()) return base::Fail(kProgram, text.error());
  const CheckedConfig checked = CheckConfig(*text, path);
  const Config& config = checked.config;
  if (as_json) {
    Json said = Json::MakeObject({{"file", path},
                                  {"sha256", config.sha256},
                                  {"ok", checked.problems.empty()},
                                  {"problems", Strings(checked.problems)},
                                  {"warnings", Strings(config.warnings)}});
    if (checked.problems.empty()) said.Set("effective", Effective(config));
    if (config.prototype) said.Set("prototype", ToJson(*config.prototype));
    std::cout << said.WritePretty() << '\n';
    return checked.problems.empty() ? base::kExitDone : base::kExitWrongUse;
  }
  for (const std::string& warning : config.warnings) {
    std::cerr << kProgram << ": " << path << ": " << warning << '\n';
  }
  for (const std::string& problem : checked.problems) {
    std::cerr << kProgram << ": " << problem << '\n';
  }
  if (!checked.problems.empty()) return base::kExitWrongUse;
  for (const ConfigKey& key : ConfigKeys()) {
    const Json value = key.get(config);
    if (value.is_null()) continue;
    std::cout << key.path << " = " << value.Write()
              << (config.given.contains(key.path) ? "" : "  (default)") << '\n';
  }
  if (config.prototype) {
    for (const auto& [name, value] : ToJson(*config.prototype).as_object()) {
      std::cout << "prototype." << name << " = " << value.Write() << '\n';
    }
  }
  return base::kExitDone;
}

}  // namespace

void AddConfig(base::CommandLine& line) {
  struct Arguments {
    std::string config;
    bool json = false;
  };
  auto given = std::make_shared<Arguments>();
  base::Command& config = line.Add("config", "What a configuration means");
  base::Command& check = config.Add(
      "check", "Print every key with its value, or everything that is wrong with the file");
  check.Text("--config", given->config, "The agent's configuration").Required();
  check.Flag("--json", given->json, "As JSON");
  check.Action([given] { return Check(given->config, given->json); });
  config.Add("keys", "Print every key, its default and its meaning, as a Markdown table")
      .Action([] {
        std::cout << ConfigTable();
        return base::kExitDone;
      });
  config.Add("schema", "Print the JSON Schema of the file").Action([] {
    std::cout << ConfigSchema().WritePretty() << '\n';
    return base::kExitDone;
  });
}

}  // namespace agent
