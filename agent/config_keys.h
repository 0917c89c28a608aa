// The table of configuration keys: what each is called, what it may be, what it means, and where in
// Config it goes. The parser, the JSON Schema and `tinylcm config check` all read this table and
// nothing else, so they cannot differ.

#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "base/json.h"

namespace agent {

// What SIGHUP does where the new file says something else.
enum class Reload {
  kAtOnce,   // Taken over while running.
  kRestart,  // The whole reload is refused, with a sentence that names the key.
};

struct ConfigKey {
  std::string path;      // "sync.interval"
  std::string about;     // One sentence.
  base::Json schema;     // What a value must be: JSON Schema, of the part that Mismatch knows.
  std::string expected;  // The same for a person: "a duration such as \"30s\"".
  bool is_required = false;
  Reload reload = Reload::kRestart;
  std::function<base::Json(const Config&)> get;  // null: not set.
  // Takes a value that fits the schema; gives what is still wrong with it, or "".
  std::function<std::string(Config&, const base::Json&)> set;
};

struct ConfigSection {
  std::string path;
  std::string about;
};

const std::vector<ConfigKey>& ConfigKeys();
const std::vector<ConfigSection>& ConfigSections();
const ConfigKey* FindKey(std::string_view path);

// "sync.intervall" -> "sync.interval"; "" where no name is near.
std::string NearestKey(std::string_view path);

// Whether `value` is as `schema` asks: type, enum, minimum, maximum, exclusiveMinimum, minLength,
// anyOf, items, maxItems, properties, required, additionalProperties.
bool Fits(const base::Json& value, const base::Json& schema);

// docs/formats/config.schema.json, draft 2020-12.
base::Json ConfigSchema();

// The table of docs/guides/configuration.md, in Markdown.
std::string ConfigTable();

// The keys in which two files differ, in the table's order.
std::vector<const ConfigKey*> Differences(const Config& a, const Config& b);

}  // namespace agent
