#include "tinysphere/store/database.h"

#include "base/check.h"

namespace tinysphere::store {

const Value& Row::Get(std::string_view column) const {
  for (std::size_t i = 0; i < columns_->size(); ++i) {
    if ((*columns_)[i] == column) return values_[i];
  }
  CHECK(!"the query does not name this column");
  return values_.front();
}

std::int64_t Row::Int(std::string_view column) const {
  const Value& value = Get(column);
  if (value.is_null()) return 0;
  const auto* number = std::get_if<std::int64_t>(&value.data());
  CHECK(number != nullptr);
  return *number;
}

double Row::Double(std::string_view column) const {
  const Value& value = Get(column);
  if (value.is_null()) return 0.0;
  if (const auto* integer = std::get_if<std::int64_t>(&value.data())) {
    return static_cast<double>(*integer);
  }
  const auto* number = std::get_if<double>(&value.data());
  CHECK(number != nullptr);
  return *number;
}

std::string Row::Text(std::string_view column) const {
  const Value& value = Get(column);
  if (value.is_null()) return {};
  const auto* text = std::get_if<std::string>(&value.data());
  CHECK(text != nullptr);
  return *text;
}

base::Bytes Row::Blob(std::string_view column) const {
  const Value& value = Get(column);
  if (value.is_null()) return {};
  const auto* bytes = std::get_if<base::Bytes>(&value.data());
  CHECK(bytes != nullptr);
  return *bytes;
}

base::Time Row::Time(std::string_view column) const {
  return base::Time(base::Duration(Int(column)));
}

base::Json Row::Document(std::string_view column) const {
  const std::string text = Text(column);
  if (text.empty()) return {};
  base::Result<base::Json> json = base::Json::Parse(text);
  return json.ok() ? std::move(json).value() : base::Json();
}

std::optional<std::int64_t> Row::OptionalInt(std::string_view column) const {
  if (IsNull(column)) return std::nullopt;
  return Int(column);
}

std::optional<double> Row::OptionalDouble(std::string_view column) const {
  if (IsNull(column)) return std::nullopt;
  return Double(column);
}

std::optional<std::string> Row::OptionalText(std::string_view column) const {
  if (IsNull(column)) return std::nullopt;
  return Text(column);
}

std::optional<base::Time> Row::OptionalTime(std::string_view column) const {
  if (IsNull(column)) return std::nullopt;
  return Time(column);
}

base::Result<std::optional<Row>> Transaction::QueryOne(std::string_view sql, const Params& params) {
  ASSIGN_OR_RETURN(Rows rows, Query(sql, params));
  if (rows.empty()) return std::optional<Row>();
  return std::optional<Row>(std::move(rows.front()));
}

base::Result<Rows> Database::Query(std::string_view sql, const Params& params) {
  return Read([&](Transaction& transaction) { return transaction.Query(sql, params); });
}

base::Result<std::optional<Row>> Database::QueryOne(std::string_view sql, const Params& params) {
  return Read([&](Transaction& transaction) { return transaction.QueryOne(sql, params); });
}

base::Result<std::int64_t> Database::Execute(std::string_view sql, const Params& params) {
  return Write([&](Transaction& transaction) { return transaction.Execute(sql, params); });
}

// RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF.
base::Status CheckText(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned first = byte(i);
    if (first == 0) return base::Error{base::ErrorCode::kInvalidArgument, "text: a zero byte"};
    std::size_t more = 0;
    unsigned second_min = 0x80;
    unsigned second_max = 0xbf;
    if (first < 0x80) {
      ++i;
      continue;
    }
    if (first >= 0xc2 && first <= 0xdf) {
      more = 1;
    } else if (first >= 0xe0 && first <= 0xef) {
      more = 2;
      if (first == 0xe0) second_min = 0xa0;
      if (first == 0xed) second_max = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      more = 3;
      if (first == 0xf0) second_min = 0x90;
      if (first == 0xf4) second_max = 0x8f;
    }
    bool is_good = more > 0 && byte(i + 1) >= second_min && byte(i + 1) <= second_max;
    for (std::size_t k = 2; is_good && k <= more; ++k) is_good = (byte(i + k) & 0xc0u) == 0x80u;
    if (!is_good) return base::Error{base::ErrorCode::kInvalidArgument, "text: is not UTF-8"};
    i += more + 1;
  }
  return {};
}

}  // namespace tinysphere::store
