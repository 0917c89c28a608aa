#include "agent/config.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <map>
#include <utility>

#include "agent/alarm_rule.h"
#include "agent/config_keys.h"
#include "agent/prototype_config.h"
#include "base/crypto.h"
#include "base/text.h"

namespace agent {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::StrCat;

namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;

// The line each key stands in, of a text that is well-formed JSON.
class KeyLines {
 public:
  explicit KeyLines(std::string_view text) : text_(text) { Value(""); }
  std::size_t Of(const std::string& path) const {
    const auto found = lines_.find(path);
    return found == lines_.end() ? 0 : found->second;
  }

 private:
  void Space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) Step();
  }
  void Step() {
    if (text_[at_++] == '\n') ++line_;
  }
  std::string_view String() {  // REQUIRES: at a quote.
    const std::size_t from = ++at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    const std::string_view inside = text_.substr(from, at_ - from);
    ++at_;
    return inside;
  }
  void Value(const std::string& path) {
    Space();
    if (at_ >= text_.size()) return;
    const char first = text_[at_];
    if (first == '"') {
      String();
    } else if (first == '{' || first == '[') {
      Step();
      for (Space(); at_ < text_.size() && text_[at_] != '}' && text_[at_] != ']'; Space()) {
        std::string below = path;
        if (first == '{') {
          const std::size_t line = line_;
          const std::string_view key = String();
          below = path.empty() ? std::string(key) : StrCat(path, ".", key);
          lines_.emplace(below, line);
          Space();
          ++at_;  // The colon.
        }
        Value(below);
        Space();
        if (at_ < text_.size() && text_[at_] == ',') ++at_;
      }
      ++at_;
    } else {
      while (at_ < text_.size() &&
             std::string_view(",]} \t\r\n").find(text_[at_]) == std::string_view::npos) {
        ++at_;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::map<std::string, std::size_t> lines_;
};

// What was given, in as few letters as a sentence can take.
std::string Shown(const Json& value) {
  std::string text = value.is_object() ? "an object" : value.is_array() ? "a list" : value.Write();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

class Reader {
 public:
  Reader(std::string_view text, std::string name, CheckedConfig& out)
      : lines_(text), name_(std::move(name)), out_(out) {}

  void Section(const Json& object, const std::string& prefix) {
    for (const auto& [name, value] : object.as_object()) {
      const std::string path = prefix + name;
      const auto& sections = ConfigSections();
      const bool is_section =
          std::ranges::find(sections, path, &ConfigSection::path) != sections.end();
      if (value.is_null()) {
        if (!is_section && FindKey(path) == nullptr) Unknown(path);
        continue;
      }
      if (const ConfigKey* key = FindKey(path)) {
        Take(*key, value);
      } else if (!is_section) {
        Unknown(path);
      } else if (!value.is_object()) {
        Refuse(path, StrCat("an object is expected, ", Shown(value), " is given"));
      } else {
        Section(value, path + ".");
      }
    }
  }

  void Rules() {
    Config& config = out_.config;
    for (const ConfigKey& key : ConfigKeys()) {
      // The prototype's form says elsewhere what the bundle is made of.
      if (!key.is_required || config.given.contains(key.path) || config.prototype) continue;
      if (!out_.problems.empty() && Mentioned(key.path)) continue;
      Refuse(key.path, StrCat("missing; ", key.expected, " is expected"));
    }
    SourceConfig& source = config.source;
    if (source.command.empty() == source.path.empty()) {
      Refuse("source.command", "exactly one of source.command and source.path is expected");
    }
    if (source.format != "mjpeg" && (source.width == 0 || source.height == 0)) {
      Refuse("source.format",
             StrCat(source.format, " needs source.width and source.height, in pixels"));
    }
    if (config.detector && config.prototype && !config.prototype->detectors.empty()) {
      config.warnings.push_back("drift_detectors: ignored: drift.detector says which one alarms");
    }
    InSamples("drift.false_alarm_every", config.false_alarm_duration, config.false_alarm_every);
    if (config.false_alarm_every > kFalseAlarmEveryMax && !Mentioned("drift.false_alarm_every")) {
      Refuse("drift.false_alarm_every", "at most 1e12 samples are expected");
    }
    CheckAlarmRule();
    InSamples("drift.commission", config.commission_duration, config.commission);
    if (config.commission > 1e6) {
      Refuse("drift.commission", StrCat(base::FormatShort(config.commission),
                                        " samples; at most 1000000 are expected"));
    }
    if (config.cycle.count() != 0 && config.cycle < base::Duration{60'000}) {
      Refuse("drift.cycle", "at least 1m is expected, or 0s for none");
    }
    if (config.sync.backoff_min > config.sync.backoff_max) {
      Refuse("sync.backoff_min", "more than sync.backoff_max");
    }
    const LocationConfig& place = config.location;
    if (place.latitude.has_value() != place.longitude.has_value()) {
      Refuse("location.latitude", "location.latitude and location.longitude are expected together");
    }
    if (place.latitude && !place.gpsd.empty()) {
      Refuse("location.gpsd", "either a fixed place or gpsd is expected, not both");
    }
  }

  // Statistics count samples; only a person knows how many come in a day.
  void InSamples(const std::string& path, const std::optional<base::Duration>& duration,
                 double& samples) {
    if (!duration) return;
    const Config& config = out_.config;
    if (!config.samples_per_second) {
      if (Mentioned("drift.samples_per_second")) return;
      return Refuse("drift.samples_per_second",
                    StrCat("missing; it is expected where ", path, " is a duration"));
    }
    samples = static_cast<double>(duration->count()) / 1000.0 * *config.samples_per_second;
    if (!(samples >= 100 && samples <= kFalseAlarmEveryMax)) {
      Refuse(path, StrCat("that duration is ", base::FormatShort(samples),
                          " samples; 100 to 1e12 are expected"));
    }
  }

  // Once its run length is known: whether there is such a detector, with a limit for it.
  void CheckAlarmRule() {
    const Config& config = out_.config;
    if (!config.detector || Mentioned("drift.false_alarm_every")) return;
    if (const auto rule = AlarmRuleOf(config); !rule.ok()) {
      Refuse("drift.detector",
             rule.error().message.substr(std::string_view("drift.detector: ").size()));
    }
  }

  void Refuse(const std::string& path, const std::string& reason) {
    const std::size_t line = lines_.Of(path);
    out_.problems.push_back(line == 0 ? StrCat(name_, ": ", path, ": ", reason)
                                      : StrCat(name_, ":", line, ": ", path, ": ", reason));
    refused_.insert(path);
  }

 private:
  bool Mentioned(const std::string& path) const { return refused_.contains(path); }

  void Unknown(const std::string& path) {
    const std::string nearest = NearestKey(path);
    Refuse(path,
           nearest.empty() ? "no such key" : StrCat("no such key; did you mean ", nearest, "?"));
  }

  void Take(const ConfigKey& key, const Json& value) {
    if (!Fits(value, key.schema)) {
      Refuse(key.path, StrCat(key.expected, " is expected, ", Shown(value), " is given"));
      return;
    }
    const std::string wrong = key.set(out_.config, value);
    if (!wrong.empty()) {
      Refuse(key.path, wrong);
    } else {
      out_.config.given.insert(key.path);
    }
  }

  KeyLines lines_;
  std::string name_;
  CheckedConfig& out_;
  std::set<std::string> refused_;
};

}  // namespace

CheckedConfig CheckConfig(std::string_view text, const std::string& name) {
  CheckedConfig checked;
  checked.config.sha256 = base::Sha256Hex(base::AsBytes(text));
  auto json = Json::Parse(text);
  if (!json.ok()) {
    checked.problems.push_back(StrCat(name, ": ", json.error().message));
    return checked;
  }
  if (!json->is_object()) {
    checked.problems.push_back(name + ": an object is expected");
    return checked;
  }
  Reader reader(text, name, checked);
  Json ours = *json;
  if (IsPrototypeForm(*json)) {
    PrototypeReading read = ReadPrototypeForm(*json, name);
    ours = std::move(read.ours);
    checked.config.prototype = std::move(read.prototype);
    checked.config.warnings = std::move(read.warnings);
    for (const auto& [path, reason] : read.problems) reader.Refuse(path, reason);
  }
  reader.Section(ours, "");
  reader.Rules();
  return checked;
}

Result<Config> ParseConfig(std::string_view text, const std::string& name) {
  CheckedConfig checked = CheckConfig(text, name);
  if (checked.problems.empty()) return std::move(checked.config);
  std::string message = checked.problems.front();
  if (checked.problems.size() > 1) {
    message += StrCat(" (and ", checked.problems.size() - 1,
                      " more: tinylcm config check names them all)");
  }
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

Result<Config> ReadConfig(base::FileSystem& fs, const std::string& path) {
  const auto text = base::ReadTextFile(fs, path, kFileBytesMax);
  if (!text.ok()) {
    if (text.error().code != ErrorCode::kNotFound) return text.error();
    return Error{ErrorCode::kInvalidArgument, StrCat(path, ": no such file")};
  }
  return ParseConfig(*text, path);
}

Result<Config> ReadConfigOfDevice(base::FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(Config config, ReadConfig(fs, path));
  if (base::Exists(fs, config.data)) return config;
  return Error{ErrorCode::kNotFound,
               StrCat(path, ": data: ", config.data, ": no device has kept anything there")};
}

Json Effective(const Config& config) {
  // Sections nest at most two deep; an object is put back once its members are all there.
  Json all = Json::MakeObject();
  for (const ConfigKey& key : ConfigKeys()) {
    const std::vector<std::string_view> parts = base::Split(key.path, '.');
    std::vector<Json> levels = {all};
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const Json* found = levels.back().Find(parts[i]);
      levels.push_back(found != nullptr ? *found : Json::MakeObject());
    }
    levels.back().Set(std::string(parts.back()), key.get(config));
    for (std::size_t i = parts.size() - 1; i > 0; --i) {
      levels[i - 1].Set(std::string(parts[i - 1]), levels[i]);
    }
    all = levels.front();
  }
  return all;
}

}  // namespace agent
