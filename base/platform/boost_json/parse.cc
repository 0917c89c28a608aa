#include "base/platform/boost_json/parse.h"

// Header-only: the whole of Boost.JSON that is used is compiled here.
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <limits>

#include "base/text.h"

namespace base::platform {
namespace {

namespace json = boost::json;

bool HasDuplicateKey(const Json::Object& object) {
  std::vector<std::string_view> keys;
  keys.reserve(object.size());
  for (const Json::Member& member : object) keys.push_back(member.first);
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

// Receives the parser's events and builds the value. What it refuses itself it says in `reason`.
class Builder {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return Open(Json::MakeObject()); }
  bool on_array_begin(json::error_code&) { return Open(Json::MakeArray()); }
  bool on_object_end(std::size_t, json::error_code& error) {
    if (HasDuplicateKey(open_.back().value.as_object())) {
      return Refuse("a key appears twice", error);
    }
    return CloseTop();
  }
  bool on_array_end(std::size_t, json::error_code&) { return CloseTop(); }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    open_.back().key = std::move(text_);
    text_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    Json value(std::move(text_));
    text_.clear();
    return Put(std::move(value));
  }

  // Boost.JSON 1.81 reads doubles a unit in the last place off; the text it hands over is exact.
  bool on_number_part(json::string_view part, json::error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t value, json::string_view, json::error_code&) {
    text_.clear();
    return Put(Json(value));
  }
  bool on_uint64(std::uint64_t value, json::string_view, json::error_code& error) {
    text_.clear();
    if (value > static_cast<std::uint64_t>(INT64_MAX)) {
      return Refuse("a whole number is beyond 64 bits with sign", error);
    }
    return Put(Json(static_cast<std::int64_t>(value)));
  }
  bool on_double(double, json::string_view part, json::error_code& error) {
    text_.append(part.data(), part.size());
    const Result<double> value = ParseDouble(text_);
    text_.clear();
    if (!value.ok()) return Refuse("a number is beyond a double", error);
    return Put(Json(*value));
  }
  bool on_bool(bool value, json::error_code&) { return Put(Json(value)); }
  bool on_null(json::error_code&) { return Put(Json()); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  Json& result() { return result_; }
  const std::string& reason() const { return reason_; }

 private:
  struct Level {
    Json value;
    std::string key;  // Of the member being read.
  };

  bool Open(Json value) {
    open_.push_back({std::move(value), {}});
    return true;
  }
  bool CloseTop() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return Put(std::move(value));
  }
  bool Put(Json value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (open_.back().value.is_array()) {
      open_.back().value.as_array().push_back(std::move(value));
    } else {
      // Not Set(): it would make n members cost n * n; duplicates are looked for at the end.
      open_.back().value.as_object().emplace_back(std::move(open_.back().key), std::move(value));
      open_.back().key.clear();
    }
    return true;
  }
  bool Refuse(const char* reason, json::error_code& error) {
    reason_ = reason;
    error = json::make_error_code(json::error::extra_data);  // Any; `reason` is what is shown.
    return false;
  }

  std::vector<Level> open_;
  std::string text_;
  std::string reason_;
  Json result_;
};

}  // namespace

Result<Json> ParseJson(std::string_view text, std::size_t depth_max) {
  try {
    json::parse_options options;
    options.max_depth = depth_max;
    json::basic_parser<Builder> parser(options);
    json::error_code error;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
    if (!error && read < text.size()) error = json::make_error_code(json::error::extra_data);
    if (!error && !parser.done()) error = json::make_error_code(json::error::incomplete);
    if (!error) return std::move(parser.handler().result());
    const std::string& own = parser.handler().reason();
    const ErrorCode code =
        error == json::error::too_deep ? ErrorCode::kExhausted : ErrorCode::kCorrupt;
    return Error{code, StrCat("JSON: ", own.empty() ? error.message() : own, " at byte ", read)};
  } catch (const std::exception& exception) {
    return Error{ErrorCode::kInternal, StrCat("JSON: ", exception.what())};
  }
}

}  // namespace base::platform
