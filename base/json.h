// Json: a JSON value, a strict parser and a writer.
//
// Strict: RFC 8259, UTF-8 checked, duplicate keys refused, NaN and infinity never read or written,
// depth and size limited. Objects keep their order, so what is written is what was built.
// Readers that know a format ask through JsonReader, whose errors name the field ("files[2].bytes").

#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace base {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  Json(std::nullptr_t) {}                                            // NOLINT: implicit
  Json(bool value) : data_(value) {}                                 // NOLINT: implicit
  Json(double value);  // REQUIRES: finite.                          // NOLINT: implicit
  Json(std::int64_t value) : data_(value) {}                         // NOLINT: implicit
  Json(int value) : data_(static_cast<std::int64_t>(value)) {}       // NOLINT: implicit
  Json(unsigned value) : data_(static_cast<std::int64_t>(value)) {}  // NOLINT: implicit
  Json(std::uint64_t value);  // REQUIRES: fits int64.               // NOLINT: implicit
  Json(const char* value) : data_(std::string(value)) {}             // NOLINT: implicit
  Json(std::string value) : data_(std::move(value)) {}               // NOLINT: implicit
  Json(std::string_view value) : data_(std::string(value)) {}        // NOLINT: implicit
  Json(Array value) : data_(std::move(value)) {}                     // NOLINT: implicit
  Json(Object value) : data_(std::move(value)) {}                    // NOLINT: implicit
  template <typename T>
  Json(const std::optional<T>& value) {  // NOLINT: implicit; nullopt is null
    if (value) *this = Json(*value);
  }

  // Json::MakeObject({{"a", 1}, {"b", nullptr}})
  static Json MakeObject(std::initializer_list<Member> members = {}) {
    return Json(Object(members));
  }
  static Json MakeArray() { return Json(Array{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  // REQUIRES: the matching is_...(). For input from outside use JsonReader.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_double() const;  // Also for an integer.
  const std::string& as_string() const;
  const Array& as_array() const;
  Array& as_array();
  const Object& as_object() const;
  Object& as_object();

  // The member, or nullptr where there is none or this is no object.
  const Json* Find(std::string_view key) const;
  // Sets or replaces a member. REQUIRES: is_object() or is_null() (which becomes an object).
  void Set(std::string key, Json value);
  // REQUIRES: is_array() or is_null() (which becomes an array).
  void Append(Json value);

  friend bool operator==(const Json&, const Json&) = default;

  std::string Write() const;                // Compact, one line.
  std::string WritePretty() const;          // Two spaces, for files a person reads.

  struct Limits {
    std::size_t bytes_max = 16u << 20;
    std::size_t depth_max = 32;
  };
  // kCorrupt with the byte offset for malformed input; kExhausted over a limit.
  static Result<Json> Parse(std::string_view text, const Limits& limits);
  static Result<Json> Parse(std::string_view text) { return Parse(text, Limits{}); }

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> data_;
};

// Walks a Json from outside and remembers the first thing that was wrong with it, so that a parser
// reads as a list of its fields:
//
//   JsonReader reader(json, "manifest.json");
//   manifest.seq = reader.Int("seq", {.min = 0});
//   for (JsonReader file : reader.Array("files")) { ... file.String("path") ... }
//   RETURN_IF_ERROR(reader.status());   // kInvalidArgument "manifest.json: files[2].bytes: missing"
//
// A child shares its parent's status. Getters return an empty value after an error.
class JsonReader {
 public:
  JsonReader(const Json& json, std::string document);

  struct IntRange {
    std::int64_t min = INT64_MIN;
    std::int64_t max = INT64_MAX;
  };
  struct TextLimits {
    std::size_t bytes_max = 4096;
  };

  std::string String(std::string_view key, TextLimits limits);
  std::string String(std::string_view key) { return String(key, TextLimits{}); }
  std::int64_t Int(std::string_view key, IntRange range);
  std::int64_t Int(std::string_view key) { return Int(key, IntRange{}); }
  double Double(std::string_view key);
  bool Bool(std::string_view key);
  JsonReader Object(std::string_view key);              // Must be there and be an object.
  std::vector<JsonReader> Array(std::string_view key, std::size_t count_max = 100'000);
  std::vector<std::string> Strings(std::string_view key, std::size_t count_max = 100'000);

  bool Has(std::string_view key) const;  // There and not null.
  // The field, or nullopt where it is missing or null; a wrong type is an error all the same.
  std::optional<std::string> OptionalString(std::string_view key);
  std::optional<std::int64_t> OptionalInt(std::string_view key, IntRange range);
  std::optional<std::int64_t> OptionalInt(std::string_view key) {
    return OptionalInt(key, IntRange{});
  }
  std::optional<double> OptionalDouble(std::string_view key);
  std::optional<bool> OptionalBool(std::string_view key);

  // For a reader made from an array of plain values.
  std::string AsString();
  std::int64_t AsInt();
  double AsDouble();

  // Marks a field as wrong for a reason of the caller's own.
  void Refuse(std::string_view key, std::string_view reason);

  const Json& json() const { return *json_; }
  Status status() const;

 private:
  struct Shared;
  JsonReader(const Json* json, std::string path, std::shared_ptr<Shared> shared);
  const Json* Get(std::string_view key);

  const Json* json_;
  std::string path_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace base
