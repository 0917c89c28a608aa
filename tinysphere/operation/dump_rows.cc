#include "tinysphere/operation/dump_rows.h"

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "base/json.h"
#include "base/text.h"

namespace tinysphere::operation {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Value;

namespace {

constexpr std::size_t kLineBytesMax = 256u << 20;

std::string WriteReal(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return base::FormatDouble(value);
}

base::Result<double> ReadReal(const std::string& text) {
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  return base::ParseDouble(text);
}

Json ToJson(const Value& value) {
  return std::visit(
      [](const auto& data) -> Json {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return {};
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          return data;
        } else if constexpr (std::is_same_v<T, double>) {
          return Json::MakeObject({{"d", WriteReal(data)}});
        } else if constexpr (std::is_same_v<T, std::string>) {
          // What is no text in every database goes as its bytes, still as text.
          if (store::CheckText(data).ok()) return data;
          return Json::MakeObject({{"t", base::Base64Encode(base::AsBytes(data))}});
        } else {
          return Json::MakeObject({{"b", base::Base64Encode(data)}});
        }
      },
      value.data());
}

base::Result<Value> FromJson(const Json& json) {
  if (json.is_null()) return Value();
  if (json.is_int()) return Value(json.as_int());
  if (json.is_string()) return Value(json.as_string());
  const Error wrong{ErrorCode::kCorrupt, "a value of no type"};
  if (!json.is_object() || json.as_object().size() != 1) return wrong;
  const auto& [type, content] = json.as_object().front();
  if (!content.is_string()) return wrong;
  if (type == "d") {
    ASSIGN_OR_RETURN(const double real, ReadReal(content.as_string()));
    return Value(real);
  }
  if (type != "b" && type != "t") return wrong;
  ASSIGN_OR_RETURN(base::Bytes bytes, base::Base64Decode(content.as_string()));
  if (type == "t") return Value(std::string(base::AsText(bytes)));
  return Value(std::move(bytes));
}

}  // namespace

std::string WriteRow(const store::Row& row) {
  Json::Array values;
  values.reserve(row.values().size());
  for (const Value& value : row.values()) values.push_back(ToJson(value));
  return Json(std::move(values)).Write();
}

base::Result<store::Params> ReadRow(std::string_view line, std::size_t columns) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(line, {.bytes_max = kLineBytesMax}));
  if (!json.is_array() || json.as_array().size() != columns) {
    return Error{ErrorCode::kCorrupt, base::StrCat("is no row of ", columns, " values")};
  }
  store::Params params;
  params.reserve(columns);
  for (const Json& value : json.as_array()) {
    ASSIGN_OR_RETURN(Value read, FromJson(value));
    params.push_back(std::move(read));
  }
  return params;
}

std::int64_t RepairTexts(store::Params& row) {
  std::int64_t repaired = 0;
  for (store::Value& value : row) {
    const auto* const text = std::get_if<std::string>(&value.data());
    if (text == nullptr || store::CheckText(*text).ok()) continue;
    const std::string_view from = *text;
    std::string whole;
    for (std::size_t i = 0; i < from.size();) {
      std::size_t bytes = 1;  // Of a character, at most four.
      while (bytes <= 4 && !store::CheckText(from.substr(i, bytes)).ok()) ++bytes;
      const bool is_good = bytes <= 4;
      whole += is_good ? from.substr(i, bytes) : std::string_view("\xef\xbf\xbd");
      i += is_good ? bytes : 1;
    }
    value = store::Value(std::move(whole));
    repaired += 1;
  }
  return repaired;
}

}  // namespace tinysphere::operation
