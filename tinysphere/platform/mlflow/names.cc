#include "tinysphere/platform/mlflow/names.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"

namespace tinysphere::mlflow {

using base::Error;
using base::ErrorCode;

namespace {

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsOfName(char c) {
  return IsAlphanumeric(c) || c == '_' || c == '-' || c == '.' || c == ' ' || c == ':' || c == '/';
}

// MLflow may keep a name as a file's path: it must be what that path is once it is normalised.
bool IsNormalPath(std::string_view name) {
  if (name.starts_with('/') || name.ends_with('/')) return false;
  for (const std::string_view part : base::Split(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

Error Wrong(std::string_view kind, std::string_view what, std::string_view why) {
  std::string shown(what.substr(0, 80));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return {ErrorCode::kInvalidArgument, base::StrCat(kind, " \"", shown, "\": ", why)};
}

bool HoldsAny(std::string_view text, std::string_view characters) {
  return text.find_first_of(characters) != std::string_view::npos;
}

std::string Tail(std::string_view text) {
  return "." + base::Sha256Hex(base::AsBytes(text)).substr(0, 8);
}

}  // namespace

std::size_t CountCharacters(std::string_view utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

base::Status CheckText(std::string_view kind, std::string_view text, std::size_t characters_max) {
  const std::size_t characters = CountCharacters(text);
  if (characters <= characters_max) return {};
  return Wrong(kind, text,
               base::StrCat("is ", characters, " characters long, ", characters_max,
                            " are kept and the rest is cut without a word"));
}

base::Status CheckName(std::string_view kind, std::string_view name) {
  if (name.empty()) return Wrong(kind, name, "a name is wanted");
  if (name.size() > kNameMax) return Wrong(kind, name, "is longer than 250 characters");
  if (!std::all_of(name.begin(), name.end(), IsOfName)) {
    return Wrong(kind, name, "only letters, digits and _-./: and space are taken");
  }
  if (!IsNormalPath(name)) return Wrong(kind, name, "would be another name as a file's path");
  return {};
}

base::Status CheckExperimentName(std::string_view name) {
  if (name.empty()) return Wrong("experiment", name, "a name is wanted");
  return CheckText("experiment", name, kExperimentNameMax);
}

base::Status CheckModelName(std::string_view name) {
  if (name.empty() || HoldsAny(name, "/:'\"")) {
    return Wrong("registered model", name, "a name without / : and quotes is wanted");
  }
  return CheckText("registered model", name, kModelNameMax);
}

base::Status CheckLoggedModelName(std::string_view name) {
  if (name.empty() || HoldsAny(name, "/:.%\"'")) {
    return Wrong("logged model", name, "a name without / : . % and quotes is wanted");
  }
  return CheckText("logged model", name, kModelNameMax);
}

base::Status CheckAlias(std::string_view alias) {
  const bool is_of_alias = !alias.empty() && alias.size() <= kAliasMax &&
                           std::all_of(alias.begin(), alias.end(), [](char c) {
                             return IsAlphanumeric(c) || c == '_' || c == '-';
                           });
  if (!is_of_alias) return Wrong("alias", alias, "1 to 255 letters, digits, _ and - are wanted");
  std::string lower(alias);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  const bool is_version =
      lower.size() > 1 && lower[0] == 'v' &&
      std::all_of(lower.begin() + 1, lower.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (lower == "latest" || is_version) return Wrong("alias", alias, "is reserved");
  return {};
}

base::Status CheckRunStatus(std::string_view status) {
  constexpr std::array kKnown = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
  if (std::find(kKnown.begin(), kKnown.end(), status) != kKnown.end()) return {};
  return Wrong("run status", status, "is none that MLflow knows, and it would be ignored");
}

base::Status CheckArtifactPath(std::string_view path) {
  const bool is_of_path = std::all_of(path.begin(), path.end(), [](char c) {
    return IsAlphanumeric(c) || c == '_' || c == '-' || c == '.' || c == '/';
  });
  if (path.empty() || !is_of_path || !IsNormalPath(path)) {
    return Wrong("artifact", path, "a relative path of letters, digits, _ - . and / is wanted");
  }
  return {};
}

base::Status CheckFilterValue(std::string_view value) {
  if (!HoldsAny(value, "'\"`\\") && value.size() <= 500) return {};
  return Wrong("filter", value, "a value without quotes is wanted");
}

std::string ToName(std::string_view text) {
  if (CheckName("", text).ok()) return std::string(text);
  std::string name;
  for (const std::string_view part : base::Split(text, '/')) {
    std::string clean(part.substr(0, kNameMax));
    for (char& c : clean) {
      if (!IsOfName(c)) c = '_';
    }
    if (clean.empty() || clean == "." || clean == "..") clean = "_";
    name += (name.empty() ? "" : "/") + clean;
    if (name.size() > kNameMax) break;
  }
  const std::string tail = Tail(text);
  name = name.substr(0, kNameMax - tail.size());
  while (name.ends_with('/')) name.pop_back();
  return name + tail;
}

std::string ToLoggedModelName(std::string_view text) {
  if (CheckLoggedModelName(text).ok()) return std::string(text);
  std::string name(text.substr(0, 200));
  for (char& c : name) {
    if (!IsAlphanumeric(c) && c != '_' && c != '-') c = '_';
  }
  return name.empty() ? "model" : name;
}

std::string Shorten(std::string_view text, std::size_t characters_max) {
  const std::size_t characters = CountCharacters(text);
  if (characters <= characters_max) return std::string(text);
  const std::string end = base::StrCat(" ... (", characters, " characters in TinySphere)");
  const std::size_t kept = characters_max - std::min(characters_max, end.size());
  std::size_t at = 0;
  for (std::size_t count = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
    if (begins && count == kept) break;
    count += begins ? 1 : 0;
  }
  return std::string(text.substr(0, at)) + end;
}

}  // namespace tinysphere::mlflow
