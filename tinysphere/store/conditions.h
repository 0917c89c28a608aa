// Conditions: a WHERE of those conditions that were asked for, and their parameters.
//
// One text that holds all of them ("$1 = '' OR device_id = $1") is a query that no index serves.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tinysphere/store/database.h"

namespace tinysphere::store {

class Conditions {
 public:
  // Each ? in `text` stands for the next of `values`: Add("(at, id) < (?, ?)", {at, id}).
  void Add(std::string_view text, Params values) {
    sql_ += sql_.empty() ? " WHERE " : " AND ";
    std::size_t next = 0;
    for (const char c : text) {
      if (c != '?') {
        sql_ += c;
        continue;
      }
      sql_ += Bind(std::move(values.at(next++)));
    }
  }
  // `column` is one of them. None of them is no row at all.
  void AddIn(std::string_view column, const std::vector<std::string>& values) {
    sql_ += sql_.empty() ? " WHERE " : " AND ";
    if (values.empty()) {
      sql_ += "1 = 0";
      return;
    }
    sql_ += column;
    std::string_view before = " IN (";
    for (const std::string& value : values) {
      sql_ += before;
      sql_ += Bind(value);
      before = ", ";
    }
    sql_ += ')';
  }
  // "$3" for a value that stands behind the conditions, as of LIMIT.
  std::string Bind(Value value) {
    params_.push_back(std::move(value));
    return "$" + std::to_string(params_.size());
  }
  const std::string& sql() const { return sql_; }  // " WHERE ... AND ...", or nothing.
  const Params& params() const { return params_; }

 private:
  std::string sql_;
  Params params_;
};

}  // namespace tinysphere::store
