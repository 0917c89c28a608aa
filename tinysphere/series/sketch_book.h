// SketchBook: what devices' streams looked like, sheet by sheet, and each day's sheets added up.
//
//   package ─▶ sketches (as it came) ─▶ sketch_days (a device, a bundle, a day: the sum)
//
// A sheet that comes twice is added once. docs/formats/sketches.md.

#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/sketches.h"
#include "tinysphere/http/message.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"

namespace tinysphere::series {

struct SketchOrigin {
  std::string device_id;
  std::string epoch;
  std::uint64_t seq = 0;
  std::string package_id;
  base::Time at{};
};

// May be used from several threads.
class SketchBook {
 public:
  explicit SketchBook(store::Database& database) : database_(database) {}  // Must outlive it.

  // Idempotent. `file` is what `sketches` was read from. kInvalidArgument where the day's sum has
  // another shape under the same bundle.
  static base::Status Take(store::Transaction& transaction, const SketchOrigin& origin,
                           const protocol::Sketches& sketches, base::ByteView file);
  // Sheets from before `before` go; their days stay.
  static base::Status Forget(store::Database& database, base::Time before);

  // Newest first: ?period=package (as they came) or day (the usual).
  base::Result<base::Json> List(const http::Request& request, const std::string& device_id);
  // A day's sum as a file.
  base::Result<http::Response> Day(const std::string& device_id, const std::string& bundle,
                                   std::string_view day);

  void AddRoutes(http::Router& router);

 private:
  store::Database& database_;
};

}  // namespace tinysphere::series
