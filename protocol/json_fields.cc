#include "protocol/json_fields.h"

#include "base/text.h"

namespace protocol {

using base::Json;
using base::JsonReader;

base::Status CheckFormat(JsonReader& reader, std::string_view expected) {
  const std::string format = reader.String("format", {.bytes_max = 100});
  RETURN_IF_ERROR(reader.status());
  if (format != expected) {
    return base::Error{base::ErrorCode::kUnsupported,
                       base::StrCat("format '", format, "', expected '", expected, "'")};
  }
  return {};
}

base::Time ReadTime(JsonReader& reader, std::string_view key) {
  const std::string text = reader.String(key, {.bytes_max = 64});
  if (!reader.status().ok()) return {};
  const base::Result<base::Time> time = base::ParseTime(text);
  if (time.ok()) return *time;
  reader.Refuse(key, "not an RFC 3339 time");
  return {};
}

std::uint64_t ReadCount(JsonReader& reader, std::string_view key) {
  return static_cast<std::uint64_t>(reader.Int(key, {.min = 0}));
}

Json ToJson(const std::vector<std::string>& texts) {
  Json list = Json::MakeArray();
  for (const std::string& text : texts) list.Append(text);
  return list;
}

Json ToJson(const std::vector<double>& numbers) {
  Json list = Json::MakeArray();
  for (const double number : numbers) list.Append(number);
  return list;
}

std::vector<double> ReadNumbers(JsonReader& reader, std::string_view key, std::size_t count_max) {
  std::vector<double> numbers;
  for (JsonReader& element : reader.Array(key, count_max)) numbers.push_back(element.AsDouble());
  return numbers;
}

base::Result<Json> ParseDocument(std::string_view text) {
  return Json::Parse(text, {.bytes_max = 4u << 20, .depth_max = 16});
}

}  // namespace protocol
