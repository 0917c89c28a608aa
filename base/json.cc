#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/platform/boost_json/parse.h"
#include "base/text.h"

namespace base {
namespace {

// The length of the well-formed UTF-8 character at the front (Unicode 15, table 3-7), 0 if none.
std::size_t Utf8Length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // Overlong.
    if (first == 0xed && byte(1) > 0x9f) return 0;  // A surrogate.
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;  // Overlong.
    if (first == 0xf4 && byte(1) > 0x8f) return 0;  // Beyond U+10FFFF.
    return 4;
  }
  return 0;
}

void WriteText(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15u];
    } else {
      const std::size_t length = Utf8Length(text);
      if (length == 0) {
        out += "\xef\xbf\xbd";  // U+FFFD: a file name or a library's message may hold anything.
      } else {
        out += text.substr(0, length);
        text.remove_prefix(length - 1);
      }
    }
    text.remove_prefix(1);
  }
  out += '"';
}

void WriteDouble(std::string& out, double value) {
  const std::string text = FormatDouble(value);
  out += text;
  // So that it reads back as a double and not as an integer.
  if (text.find_first_of(".e") == std::string::npos) out += ".0";
}

// `indent` < 0: compact.
void WriteValue(std::string& out, const Json& json, int indent) {
  const auto line = [&](int depth) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(depth) * 2, ' ');
  };
  const int inner = indent < 0 ? indent : indent + 1;
  if (json.is_null()) {
    out += "null";
  } else if (json.is_bool()) {
    out += json.as_bool() ? "true" : "false";
  } else if (json.is_int()) {
    out += std::to_string(json.as_int());
  } else if (json.is_number()) {
    WriteDouble(out, json.as_double());
  } else if (json.is_string()) {
    WriteText(out, json.as_string());
  } else if (json.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& element : json.as_array()) {
      if (!first) out += ',';
      first = false;
      line(inner);
      WriteValue(out, element, inner);
    }
    if (!first) line(indent);
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : json.as_object()) {
      if (!first) out += ',';
      first = false;
      line(inner);
      WriteText(out, key);
      out += indent < 0 ? ":" : ": ";
      WriteValue(out, value, inner);
    }
    if (!first) line(indent);
    out += '}';
  }
}

const Json& NullJson() {
  static const Json null;
  return null;
}

}  // namespace

Json::Json(double value) : data_(value) { CHECK(std::isfinite(value)); }

Json::Json(std::uint64_t value) {
  CHECK(value <= static_cast<std::uint64_t>(INT64_MAX));
  data_ = static_cast<std::int64_t>(value);
}

bool Json::as_bool() const {
  CHECK(is_bool());
  return std::get<bool>(data_);
}

std::int64_t Json::as_int() const {
  CHECK(is_int());
  return std::get<std::int64_t>(data_);
}

double Json::as_double() const {
  CHECK(is_number());
  return is_int() ? static_cast<double>(std::get<std::int64_t>(data_)) : std::get<double>(data_);
}

const std::string& Json::as_string() const {
  CHECK(is_string());
  return std::get<std::string>(data_);
}

const Json::Array& Json::as_array() const {
  CHECK(is_array());
  return std::get<Array>(data_);
}

Json::Array& Json::as_array() {
  CHECK(is_array());
  return std::get<Array>(data_);
}

const Json::Object& Json::as_object() const {
  CHECK(is_object());
  return std::get<Object>(data_);
}

Json::Object& Json::as_object() {
  CHECK(is_object());
  return std::get<Object>(data_);
}

const Json* Json::Find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& member : std::get<Object>(data_)) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

void Json::Set(std::string key, Json value) {
  if (is_null()) data_ = Object();
  for (Member& member : as_object()) {
    if (member.first == key) {
      member.second = std::move(value);
      return;
    }
  }
  as_object().emplace_back(std::move(key), std::move(value));
}

void Json::Append(Json value) {
  if (is_null()) data_ = Array();
  as_array().push_back(std::move(value));
}

std::string Json::Write() const {
  std::string out;
  WriteValue(out, *this, -1);
  return out;
}

std::string Json::WritePretty() const {
  std::string out;
  WriteValue(out, *this, 0);
  out += '\n';
  return out;
}

Result<Json> Json::Parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return Error{ErrorCode::kExhausted,
                 StrCat("JSON: ", text.size(), " bytes, at most ", limits.bytes_max, " are read")};
  }
  return platform::ParseJson(text, limits.depth_max);
}

struct JsonReader::Shared {
  std::string document;
  std::optional<Error> error;
};

JsonReader::JsonReader(const Json& json, std::string document)
    : json_(&json), shared_(std::make_shared<Shared>()) {
  shared_->document = std::move(document);
  if (!json.is_object()) {
    shared_->error = Error{ErrorCode::kInvalidArgument, shared_->document + ": not an object"};
  }
}

JsonReader::JsonReader(const Json* json, std::string path, std::shared_ptr<Shared> shared)
    : json_(json), path_(std::move(path)), shared_(std::move(shared)) {}

Status JsonReader::status() const {
  if (shared_->error) return *shared_->error;
  return {};
}

void JsonReader::Refuse(std::string_view key, std::string_view reason) {
  if (shared_->error) return;  // The first is the one that says where to look.
  std::string at = path_;
  if (!at.empty() && !key.empty()) at += '.';
  at += key;
  shared_->error =
      Error{ErrorCode::kInvalidArgument, StrCat(shared_->document, ": ", at, ": ", reason)};
}

const Json* JsonReader::Get(std::string_view key) {
  if (shared_->error) return nullptr;
  const Json* value = json_->Find(key);
  if (value == nullptr) Refuse(key, "missing");
  return value;
}

bool JsonReader::Has(std::string_view key) const {
  const Json* value = json_->Find(key);
  return value != nullptr && !value->is_null();
}

std::string JsonReader::String(std::string_view key, TextLimits limits) {
  const Json* value = Get(key);
  if (value == nullptr) return {};
  if (!value->is_string()) {
    Refuse(key, "not a string");
    return {};
  }
  if (value->as_string().size() > limits.bytes_max) {
    Refuse(key, StrCat("longer than ", limits.bytes_max, " bytes"));
    return {};
  }
  return value->as_string();
}

std::int64_t JsonReader::Int(std::string_view key, IntRange range) {
  const Json* value = Get(key);
  if (value == nullptr) return 0;
  if (!value->is_int()) {
    Refuse(key, "not a whole number");
    return 0;
  }
  if (value->as_int() < range.min || value->as_int() > range.max) {
    Refuse(key, StrCat(value->as_int(), " is out of range"));
    return 0;
  }
  return value->as_int();
}

double JsonReader::Double(std::string_view key) {
  const Json* value = Get(key);
  if (value == nullptr) return 0.0;
  if (!value->is_number()) {
    Refuse(key, "not a number");
    return 0.0;
  }
  return value->as_double();
}

bool JsonReader::Bool(std::string_view key) {
  const Json* value = Get(key);
  if (value == nullptr) return false;
  if (!value->is_bool()) {
    Refuse(key, "neither true nor false");
    return false;
  }
  return value->as_bool();
}

JsonReader JsonReader::Object(std::string_view key) {
  const Json* value = Get(key);
  if (value != nullptr && !value->is_object()) {
    Refuse(key, "not an object");
    value = nullptr;
  }
  return JsonReader(value != nullptr ? value : &NullJson(),
                    path_.empty() ? std::string(key) : StrCat(path_, ".", key), shared_);
}

std::vector<JsonReader> JsonReader::Array(std::string_view key, std::size_t count_max) {
  const Json* value = Get(key);
  if (value == nullptr) return {};
  if (!value->is_array()) {
    Refuse(key, "not an array");
    return {};
  }
  if (value->as_array().size() > count_max) {
    Refuse(key, StrCat("more than ", count_max, " elements"));
    return {};
  }
  const std::string path = path_.empty() ? std::string(key) : StrCat(path_, ".", key);
  std::vector<JsonReader> readers;
  readers.reserve(value->as_array().size());
  for (std::size_t i = 0; i < value->as_array().size(); ++i) {
    readers.push_back(JsonReader(&value->as_array()[i], StrCat(path, "[", i, "]"), shared_));
  }
  return readers;
}

std::vector<std::string> JsonReader::Strings(std::string_view key, std::size_t count_max) {
  std::vector<std::string> texts;
  for (JsonReader& element : Array(key, count_max)) texts.push_back(element.AsString());
  return texts;
}

std::optional<std::string> JsonReader::OptionalString(std::string_view key) {
  if (!Has(key)) return std::nullopt;
  return String(key);
}

std::optional<std::int64_t> JsonReader::OptionalInt(std::string_view key, IntRange range) {
  if (!Has(key)) return std::nullopt;
  return Int(key, range);
}

std::optional<double> JsonReader::OptionalDouble(std::string_view key) {
  if (!Has(key)) return std::nullopt;
  return Double(key);
}

std::optional<bool> JsonReader::OptionalBool(std::string_view key) {
  if (!Has(key)) return std::nullopt;
  return Bool(key);
}

std::string JsonReader::AsString() {
  if (json_->is_string()) return json_->as_string();
  Refuse("", "not a string");
  return {};
}

std::int64_t JsonReader::AsInt() {
  if (json_->is_int()) return json_->as_int();
  Refuse("", "not a whole number");
  return 0;
}

double JsonReader::AsDouble() {
  if (json_->is_number()) return json_->as_double();
  Refuse("", "not a number");
  return 0.0;
}

}  // namespace base
