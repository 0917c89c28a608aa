#include "tinysphere/series/metrics_series.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/store/partitions.h"

namespace tinysphere::series {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::FieldOrNull;
using store::Row;

namespace {

constexpr std::int64_t kHourMs = 60LL * 60 * 1000;
constexpr std::size_t kPointsMax = 5000;
constexpr std::int64_t kStepsMax = 2000;
constexpr std::int64_t kStepMsMin = 1000;
constexpr double kFigureMax = 1e15;

// What charts show. frames counts since the agent's start, frames_window what the point covers.
constexpr std::array<std::string_view, 17> kFigures = {
    "frames",         "frames_window",  "fps",         "confidence_mean",
    "distance_mean",  "skipped",        "dropped",     "latency_ms_p50",
    "latency_ms_p95", "latency_ms_p99", "rss_bytes",   "cpu_percent",
    "temperature_c",  "queue_packages", "queue_bytes", "accuracy_estimated",
    "signal_dbm"};

// The figures of one stretch of time.
struct Summary {
  std::int64_t count = 0;
  double sum = 0.0;
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();

  // What no device measures would only spoil the sum (and two of it could leave the numbers).
  void Add(double value) {
    if (!(std::abs(value) < kFigureMax)) return;
    count += 1;
    sum += value;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  void Add(const Summary& other) {
    count += other.count;
    sum += other.sum;
    least = std::min(least, other.least);
    most = std::max(most, other.most);
  }
};
using Summaries = std::map<std::string, Summary, std::less<>>;

std::optional<double> FigureOf(const Json& document, std::string_view figure) {
  const Json* field = document.Find(figure);
  if (figure == "signal_dbm") {
    const Json* link = document.Find("link");
    field = link == nullptr ? nullptr : link->Find(figure);
  }
  if (field == nullptr || !field->is_number()) return std::nullopt;
  return field->as_double();
}

// Of the typed document, so that the writer need not read its own text again.
void AddFigures(const protocol::DeviceMetrics& metrics, Summaries& into) {
  const auto add = [&](std::string_view name, const auto& value) {
    if constexpr (requires { value.has_value(); }) {
      if (value) into[std::string(name)].Add(static_cast<double>(*value));
    } else {
      into[std::string(name)].Add(static_cast<double>(value));
    }
  };
  add("frames", metrics.frames);
  add("frames_window", metrics.frames_window);
  add("fps", metrics.fps);
  add("confidence_mean", metrics.confidence_mean);
  add("distance_mean", metrics.distance_mean);
  add("skipped", metrics.skipped);
  add("dropped", metrics.dropped);
  add("latency_ms_p50", metrics.latency_ms_p50);
  add("latency_ms_p95", metrics.latency_ms_p95);
  add("latency_ms_p99", metrics.latency_ms_p99);
  add("rss_bytes", metrics.rss_bytes);
  add("cpu_percent", metrics.cpu_percent);
  add("temperature_c", metrics.temperature_c);
  add("queue_packages", metrics.queue_packages);
  add("queue_bytes", metrics.queue_bytes);
  add("accuracy_estimated", metrics.accuracy_estimated);
  if (metrics.link) add("signal_dbm", metrics.link->signal_dbm);
}

std::string WriteSummaries(const Summaries& summaries) {
  Json document = Json::MakeObject();
  for (const auto& [figure, summary] : summaries) {
    document.Set(figure,
                 Json(Json::Array{summary.count, summary.sum, summary.least, summary.most}));
  }
  return document.Write();
}

void AddDocument(const Json& document, Summaries& into) {
  if (!document.is_object()) return;
  for (const auto& [figure, values] : document.as_object()) {
    if (!values.is_array() || values.as_array().size() != 4) continue;
    const Json::Array& array = values.as_array();
    const bool is_whole =
        array[0].is_int() && array[1].is_number() && array[2].is_number() && array[3].is_number();
    if (!is_whole) continue;
    into[figure].Add(Summary{.count = array[0].as_int(),
                             .sum = array[1].as_double(),
                             .least = array[2].as_double(),
                             .most = array[3].as_double()});
  }
}

std::int64_t Floor(std::int64_t ms, std::int64_t step) { return ms - ((ms % step) + step) % step; }

struct Stretch {
  base::Time from{};
  base::Time to{};
  std::int64_t step_ms = 0;  // 0: as they came.
};

base::Result<Stretch> ReadStretch(const http::Request& request, base::Time now) {
  Stretch stretch{.from = {}, .to = base::Time{base::Duration(INT64_MAX)}, .step_ms = 0};
  const auto read = [&](std::string_view name, base::Time& into) -> base::Status {
    const std::string_view text = request.Query(name);
    if (text.empty()) return {};
    const auto time = base::ParseTime(text);
    if (!time.ok()) {
      return Error{ErrorCode::kInvalidArgument, base::StrCat(name, ": ", time.error().message)};
    }
    into = *time;
    return {};
  };
  RETURN_IF_ERROR(read("since", stretch.from));
  RETURN_IF_ERROR(read("from", stretch.from));
  RETURN_IF_ERROR(read("to", stretch.to));
  const std::string_view step = request.Query("step");
  if (step.empty()) return stretch;
  const auto duration = base::ParseDuration(step);
  if (!duration.ok() || duration->count() < kStepMsMin) {
    return Error{ErrorCode::kInvalidArgument,
                 "step: a duration of a second or more is expected, as 15m"};
  }
  stretch.step_ms = duration->count();
  stretch.to = std::min(stretch.to, now + std::chrono::hours(24));
  // As far back as steps go where nothing else is said.
  const base::Duration most{kStepsMax * std::min(stretch.step_ms, INT64_MAX / kStepsMax / 2)};
  if (request.Query("from").empty() && request.Query("since").empty()) {
    stretch.from = std::max(base::Time{}, stretch.to - most);
  }
  if (stretch.from > stretch.to) {
    return Error{ErrorCode::kInvalidArgument, "from: lies after to"};
  }
  if (stretch.to - stretch.from > most) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("step: ", step, " gives more than ",
                                                           kStepsMax, " steps in that time")};
  }
  return stretch;
}

base::Result<store::Rows> NewestPoints(store::Transaction& transaction,
                                       const std::string& device_id, const Stretch& stretch) {
  return transaction.Query(
      "SELECT at, document FROM metrics_points WHERE device_id = $1 AND "
      "at >= $2 AND at < $3 ORDER BY at DESC LIMIT $4",
      {device_id, stretch.from, stretch.to, kPointsMax + 1});
}

Json PointsAsTheyCame(const store::Rows& rows) {
  Json::Array points;
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    const Json document = row->Document("document");
    Json point = Json::MakeObject({{"at", base::FormatTime(row->Time("at"))}});
    for (const std::string_view figure : kFigures) {
      // A count stays a count.
      if (figure == "signal_dbm") {
        point.Set(std::string(figure), FigureOf(document, figure));
      } else {
        point.Set(std::string(figure), FieldOrNull(document, figure));
      }
    }
    points.push_back(std::move(point));
  }
  return Json::MakeObject({{"points", std::move(points)}});
}

struct Step {
  std::int64_t count = 0;  // Of points.
  Summaries figures;
};

Json StepsJson(const std::map<std::int64_t, Step>& steps, std::int64_t step_ms,
               const char* source) {
  Json::Array points;
  for (const auto& [at, step] : steps) {
    Json point = Json::MakeObject(
        {{"at", base::FormatTime(base::Time(base::Duration(at)))}, {"count", step.count}});
    Json least = Json::MakeObject();
    Json most = Json::MakeObject();
    for (const std::string_view figure : kFigures) {
      const auto found = step.figures.find(figure);
      const std::string name(figure);
      if (found == step.figures.end() || found->second.count == 0) {
        point.Set(name, Json());
        continue;
      }
      point.Set(name, found->second.sum / static_cast<double>(found->second.count));
      least.Set(name, found->second.least);
      most.Set(name, found->second.most);
    }
    point.Set("min", std::move(least));
    point.Set("max", std::move(most));
    points.push_back(std::move(point));
  }
  return Json::MakeObject(
      {{"points", std::move(points)}, {"step_ms", step_ms}, {"source", source}});
}

}  // namespace

base::Status TakeMetricsPoint(store::Transaction& transaction, const std::string& device_id,
                              base::Time at, const protocol::DeviceMetrics& metrics,
                              const std::string& document) {
  ASSIGN_OR_RETURN(const std::int64_t added,
                   transaction.Execute("INSERT INTO metrics_points (device_id, at, document) "
                                       "VALUES ($1, $2, $3) ON CONFLICT (device_id, at) DO NOTHING",
                                       {device_id, at, document}));
  if (added == 0) return {};
  const std::int64_t hour = Floor(at.time_since_epoch().count(), kHourMs);
  ASSIGN_OR_RETURN(const auto standing,
                   transaction.QueryOne("SELECT document FROM metrics_rollup WHERE device_id = $1 "
                                        "AND at = $2",
                                        {device_id, hour}));
  Summaries summaries;
  if (standing) AddDocument(standing->Document("document"), summaries);
  AddFigures(metrics, summaries);
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO metrics_rollup (device_id, at, points, document) VALUES ($1, $2, 1, $3) "
      "ON CONFLICT (device_id, at) DO UPDATE SET points = metrics_rollup.points + 1, "
      "document = excluded.document",
      {device_id, hour, WriteSummaries(summaries)}));
  return {};
}

base::Status ForgetMetricsPoints(store::Database& database, base::Time before) {
  return store::ForgetMetricsBefore(database, before);
}

base::Status ForgetMetricsHours(store::Database& database, base::Time before) {
  RETURN_IF_ERROR(database.Execute("DELETE FROM metrics_rollup WHERE at < $1", {before}));
  return {};
}

base::Result<Json> ReadMetricsSeries(store::Database& database, const http::Request& request,
                                     const std::string& device_id, base::Time now) {
  ASSIGN_OR_RETURN(const Stretch stretch, ReadStretch(request, now));
  return database.Read([&](store::Transaction& transaction) -> base::Result<Json> {
    const bool may_be_points = stretch.step_ms < kHourMs;
    store::Rows rows;
    bool is_whole = false;
    if (may_be_points) {
      ASSIGN_OR_RETURN(rows, NewestPoints(transaction, device_id, stretch));
      is_whole = rows.size() <= kPointsMax;
      if (!is_whole) rows.pop_back();
    }
    if (stretch.step_ms == 0) return PointsAsTheyCame(rows);
    std::map<std::int64_t, Step> steps;
    if (may_be_points && is_whole && !rows.empty()) {
      for (const Row& row : rows) {
        Step& step = steps[Floor(row.Int("at"), stretch.step_ms)];
        step.count += 1;
        const Json document = row.Document("document");
        for (const std::string_view figure : kFigures) {
          const auto value = FigureOf(document, figure);
          if (value) step.figures[std::string(figure)].Add(*value);
        }
      }
      return StepsJson(steps, stretch.step_ms, "points");
    }
    const std::int64_t step_ms = std::max(stretch.step_ms, kHourMs);
    ASSIGN_OR_RETURN(
        const store::Rows hours,
        transaction.Query(
            "SELECT at, points, document FROM metrics_rollup WHERE "
            "device_id = $1 AND at >= $2 AND at < $3 ORDER BY at",
            {device_id, Floor(stretch.from.time_since_epoch().count(), kHourMs), stretch.to}));
    for (const Row& row : hours) {
      Step& step = steps[Floor(row.Int("at"), step_ms)];
      step.count += row.Int("points");
      AddDocument(row.Document("document"), step.figures);
    }
    return StepsJson(steps, step_ms, "hours");
  });
}

}  // namespace tinysphere::series
