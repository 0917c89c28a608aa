#include "agent/config_keys.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "base/file_system.h"
#include "base/text.h"

namespace agent {
namespace {

using base::Json;
using base::StrCat;

// Of a key of the schema, by its path.
const Json* InSchema(const Json& schema, std::string_view path) {
  const Json* at = &schema;
  for (const std::string_view part : base::Split(path, '.')) {
    at = at->Find("properties") == nullptr ? nullptr : at->Find("properties")->Find(part);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::size_t LeavesOf(const Json& schema) {
  const Json* properties = schema.Find("properties");
  if (properties == nullptr) return 1;
  std::size_t leaves = 0;
  for (const auto& [name, below] : properties->as_object()) leaves += LeavesOf(below);
  return leaves;
}

// The least file, with one more key.
std::string FileWith(const std::string& path, const Json& value) {
  Json file = Json::MakeObject({{"name", "pi"}, {"data", "/d"}, {"bundle", "b"}});
  file.Set("source", Json::MakeObject({{"path", "-"}}));
  Json inner = value;
  std::string rest = path;
  for (std::size_t dot = rest.rfind('.'); dot != std::string::npos; dot = rest.rfind('.')) {
    inner = Json::MakeObject({{rest.substr(dot + 1), inner}});
    rest = rest.substr(0, dot);
  }
  if (rest == "source" && path != "source.path") inner.Set("path", "-");
  file.Set(rest, inner);
  return file.Write();
}

TEST(ConfigKeys, TheCommittedSchemaIsTheOneTheTableMakes) {
  const auto committed =
      base::ReadTextFile(base::SystemFileSystem(), "docs/formats/config.schema.json", 1u << 20);
  ASSERT_TRUE(committed.ok()) << committed.error().message;
  EXPECT_EQ(*committed, ConfigSchema().WritePretty() + "\n")
      << "tinylcm config schema > docs/formats/config.schema.json";
}

TEST(ConfigKeys, EveryKeyOfTheTableIsInTheSchemaAndNoOther) {
  const Json schema = ConfigSchema();
  for (const ConfigKey& key : ConfigKeys()) {
    const Json* entry = InSchema(schema, key.path);
    ASSERT_NE(entry, nullptr) << key.path;
    EXPECT_NE(entry->Find("description"), nullptr) << key.path;
  }
  EXPECT_EQ(LeavesOf(schema), ConfigKeys().size());
}

TEST(ConfigKeys, TheParserKnowsEveryKeyThatTheSchemaKnows) {
  for (const ConfigKey& key : ConfigKeys()) {
    // A value of no key's type: what is refused must be the value, not the key.
    const CheckedConfig checked =
        CheckConfig(FileWith(key.path, Json(Json::Array{Json(nullptr)})), "a.json");
    ASSERT_FALSE(checked.problems.empty()) << key.path;
    EXPECT_NE(checked.problems.front().find(key.path + ": " + key.expected), std::string::npos)
        << checked.problems.front();
  }
}

TEST(ConfigKeys, EveryDefaultIsWhatTheSchemaAllowsAndReadsBackToItself) {
  const Config defaults;
  for (const ConfigKey& key : ConfigKeys()) {
    const Json value = key.get(defaults);
    if (value.is_null()) continue;
    EXPECT_TRUE(Fits(value, key.schema)) << key.path << " = " << value.Write();
    Config other;
    EXPECT_EQ(key.set(other, value), "") << key.path;
    EXPECT_EQ(key.get(other), value) << key.path;
  }
}

TEST(ConfigKeys, TheParserHoldsTheRangesThatTheSchemaNames) {
  for (const ConfigKey& key : ConfigKeys()) {
    for (const char* bound : {"minimum", "maximum"}) {
      const Json* limit = key.schema.Find(bound);
      if (limit == nullptr) continue;
      const double beyond = bound == std::string("minimum") ? -1 : 1;
      const Json value = key.schema.Find("type")->as_string() == "integer"
                             ? Json(limit->as_int() + static_cast<std::int64_t>(beyond))
                             : Json(limit->as_double() + beyond);
      EXPECT_FALSE(ParseConfig(FileWith(key.path, value), "a.json").ok())
          << key.path << " = " << value.Write();
    }
    if (const Json* choices = key.schema.Find("enum")) {
      EXPECT_FALSE(ParseConfig(FileWith(key.path, "neither"), "a.json").ok()) << key.path;
      for (const Json& choice : choices->as_array()) {
        Config config;
        EXPECT_EQ(key.set(config, choice), "") << key.path << " = " << choice.Write();
        EXPECT_EQ(key.get(config), choice) << key.path;
      }
    }
  }
}

TEST(ConfigKeys, ADurationIsOneToTheSchemaWhereItIsOneToTheParser) {
  const ConfigKey* key = FindKey("sync.interval");
  const std::regex pattern(key->schema.Find("pattern")->as_string());
  for (const char* text : {"250ms", "30s", "15m", "1h", "30d", "1.5s", "5", "s", "1 h", "", "1w"}) {
    Config config;
    EXPECT_EQ(std::regex_search(text, pattern), key->set(config, text).empty()) << text;
  }
}

TEST(ConfigKeys, ASizeIsOneToTheSchemaWhereItIsOneToTheParser) {
  const ConfigKey* key = FindKey("sync.quota");
  const std::regex pattern(key->schema.Find("anyOf")->as_array()[1].Find("pattern")->as_string());
  for (const char* text : {"64MiB", "10KiB", "1GiB", "4096", "64MB", "1.5GiB", "7B", "", "MiB",
                           "64 MiB", "-1", "2TiB", "3KB", "4GB", "5TB"}) {
    Config config;
    EXPECT_EQ(std::regex_search(text, pattern), key->set(config, text).empty()) << text;
  }
}

TEST(ConfigKeys, TheNearestNameIsGivenForAMisspeltOne) {
  EXPECT_EQ(NearestKey("sync.intervall"), "sync.interval");
  EXPECT_EQ(NearestKey("quarantene"), "quarantine");
  EXPECT_EQ(NearestKey("datalog.image.every"), "datalog.images.every");
  EXPECT_EQ(NearestKey("mdoe"), "mode");
  EXPECT_EQ(NearestKey("false_alarm_every"), "drift.false_alarm_every") << "the wrong section";
  EXPECT_EQ(NearestKey("entirely_different"), "");
}

TEST(ConfigKeys, TheGuideHoldsTheTableOfTheKeys) {
  const auto guide =
      base::ReadTextFile(base::SystemFileSystem(), "docs/guides/configuration.md", 1u << 20);
  ASSERT_TRUE(guide.ok()) << guide.error().message;
  EXPECT_NE(guide->find(ConfigTable()), std::string::npos)
      << "tinylcm config keys, into docs/guides/configuration.md";
}

TEST(ConfigKeys, DifferencesAreNamedByKey) {
  Config a, b;
  b.mode = tinylcm::adapt::Mode::kMonitoringOnly;
  b.source.path = "-";
  const auto different = Differences(a, b);
  ASSERT_EQ(different.size(), 2u);
  EXPECT_EQ(different[0]->path, "source.path");
  EXPECT_EQ(different[1]->path, "mode");
  EXPECT_EQ(different[1]->reload, Reload::kAtOnce);
}

}  // namespace
}  // namespace agent
