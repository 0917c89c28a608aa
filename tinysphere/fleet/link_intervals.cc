#include "tinysphere/fleet/link_intervals.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::fleet {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Transaction;

namespace {

constexpr double kWeakDbm = -80.0;
constexpr double kStrongDbm = -75.0;
constexpr double kLateShareHigh = 1.0 / 3;
constexpr double kLateShareLow = 0.1;
constexpr double kNewest = 0.1;  // What the newest request weighs in the share.
constexpr base::Duration kSaveApart{60'000};
constexpr base::Duration kShown{7LL * 24 * 60 * 60 * 1000};
constexpr std::size_t kIntervalsMax = 5000;
constexpr std::string_view kAliveSetting = "alive_at";
// Whose rows say when this server was away.
constexpr std::string_view kServer = "";

Json PieceJson(base::Time from, std::optional<base::Time> until, const char* state) {
  return Json::MakeObject({{"from", base::FormatTime(from)},
                           {"until", until ? Json(base::FormatTime(*until)) : Json()},
                           {"state", state},
                           {"requests", 0},
                           {"late", 0},
                           {"signal_dbm", Json()}});
}

}  // namespace

base::Status LinkIntervals::Open(store::Database& database, base::Time now) {
  return database.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const auto alive, store::ReadSetting(transaction, kAliveSetting));
    RETURN_IF_ERROR(store::WriteSetting(transaction, kAliveSetting,
                                        std::to_string(now.time_since_epoch().count())));
    if (!alive) return {};
    const auto at = base::ParseInt(*alive);
    if (!at.ok()) return {};
    const base::Time away_from{base::Duration(*at)};
    if (now - away_from <= absence()) return {};
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO link_intervals (device_id, from_at, until_at, state) VALUES ($1, $2, $3, "
        "'unknown') ON CONFLICT (device_id, from_at) DO NOTHING",
        {kServer, away_from, now}));
    return {};
  });
}

// The interval ends where the link was last heard, and one of the other kind begins.
void LinkIntervals::Turn(const std::string& device_id, Link& link) {
  const bool is_poor = link.is_weak || link.late_share > kLateShareHigh ||
                       (link.open.is_poor && link.late_share > kLateShareLow);
  if (is_poor == link.open.is_poor) return;
  if (link.open.until == link.open.from) {
    link.open.is_poor = is_poor;  // It has not lasted yet.
    return;
  }
  const Interval ended = link.open;
  ended_.push_back({.device_id = device_id, .interval = ended, .is_new = link.is_new});
  link.open = {.from = ended.until,
               .until = ended.until,
               .is_poor = is_poor,
               .signal_dbm = ended.signal_dbm};
  link.is_new = false;
}

void LinkIntervals::Saw(const std::string& device_id, base::Time at) {
  const std::lock_guard lock(mutex_);
  const auto found = links_.find(device_id);
  if (found == links_.end()) {
    links_[device_id] = {.open = {.from = at, .until = at, .requests = 1}, .is_changed = true};
    return;
  }
  Link& link = found->second;
  if (at < link.open.until) return;  // A clock was set back.
  const base::Duration gap = at - link.open.until;
  if (gap > absence()) {
    ended_.push_back({.device_id = device_id, .interval = link.open, .is_new = link.is_new});
    link = {.open = {.from = at, .until = at, .is_poor = link.is_weak, .requests = 1},
            .is_weak = link.is_weak,
            .is_new = false,
            .is_changed = true,
            .saved_at = {}};
    return;
  }
  const bool is_late = gap > 2 * poll_;
  link.open.until = at;
  link.open.requests += 1;
  link.open.late += is_late ? 1 : 0;
  link.late_share = (1 - kNewest) * link.late_share + (is_late ? kNewest : 0.0);
  link.is_changed = true;
  Turn(device_id, link);
}

void LinkIntervals::Measured(const std::string& device_id, double signal_dbm) {
  const std::lock_guard lock(mutex_);
  const auto found = links_.find(device_id);
  if (found == links_.end()) return;
  Link& link = found->second;
  link.open.signal_dbm = signal_dbm;
  link.is_changed = true;
  if (signal_dbm <= kWeakDbm) link.is_weak = true;
  if (signal_dbm >= kStrongDbm) link.is_weak = false;
  Turn(device_id, link);
}

void LinkIntervals::Forget(const std::string& device_id) {
  const std::lock_guard lock(mutex_);
  links_.erase(device_id);
  std::erase_if(ended_, [&](const Row& row) { return row.device_id == device_id; });
}

base::Status LinkIntervals::Save(store::Database& database, base::Time now, bool is_last) {
  std::vector<Row> batch;
  std::map<std::string, base::Time> continued;  // New ones, and where they begin in fact.
  {
    const std::lock_guard lock(mutex_);
    batch = std::move(ended_);
    ended_.clear();
    for (auto& [device_id, link] : links_) {
      const bool is_due = is_last || link.is_new || now - link.saved_at >= kSaveApart;
      if (!link.is_changed || !is_due) continue;
      batch.push_back({.device_id = device_id, .interval = link.open, .is_new = link.is_new});
      link.is_changed = false;
      link.saved_at = now;
    }
  }
  std::map<std::string, Interval> joined;
  const base::Status saved = database.Write([&](Transaction& transaction) -> base::Status {
    joined.clear();
    RETURN_IF_ERROR(store::WriteSetting(transaction, kAliveSetting,
                                        std::to_string(now.time_since_epoch().count())));
    for (const Row& row : batch) {
      Interval interval = row.interval;
      if (row.is_new) {
        // Another run of this server may have heard of it a moment before: the same interval.
        ASSIGN_OR_RETURN(
            const auto last,
            transaction.QueryOne("SELECT from_at, until_at, state, requests, late FROM "
                                 "link_intervals WHERE device_id = $1 ORDER BY from_at DESC "
                                 "LIMIT 1",
                                 {row.device_id}));
        const bool goes_on = last && !last->IsNull("until_at") &&
                             last->Time("from_at") < interval.from &&
                             interval.from - last->Time("until_at") <= absence() &&
                             (last->Text("state") == "poor") == interval.is_poor;
        if (goes_on) {
          interval.from = last->Time("from_at");
          interval.requests += last->Int("requests");
          interval.late += last->Int("late");
        }
        joined[row.device_id] = interval;
      }
      RETURN_IF_ERROR(transaction.Execute(
          "INSERT INTO link_intervals (device_id, from_at, until_at, state, requests, late, "
          "signal_dbm) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (device_id, from_at) DO "
          "UPDATE SET until_at = excluded.until_at, state = excluded.state, "
          "requests = excluded.requests, late = excluded.late, "
          "signal_dbm = COALESCE(excluded.signal_dbm, link_intervals.signal_dbm)",
          {row.device_id, interval.from, interval.until, interval.is_poor ? "poor" : "online",
           interval.requests, interval.late, interval.signal_dbm}));
    }
    return {};
  });
  const std::lock_guard lock(mutex_);
  if (!saved.ok()) {
    // With the next batch; an interval that is still open is there anyway.
    for (const Row& row : batch) {
      const auto found = links_.find(row.device_id);
      const bool is_open = found != links_.end() && found->second.open.from == row.interval.from;
      if (is_open) {
        found->second.is_changed = true;
      } else {
        ended_.push_back(row);
      }
    }
    return saved;
  }
  for (const auto& [device_id, interval] : joined) {
    const auto found = links_.find(device_id);
    if (found == links_.end() || !found->second.is_new) continue;
    Link& link = found->second;
    // What came since it was written counts on.
    for (const Row& row : batch) {
      if (row.device_id != device_id || row.interval.from != link.open.from) continue;
      link.open.from = interval.from;
      link.open.requests += interval.requests - row.interval.requests;
      link.open.late += interval.late - row.interval.late;
    }
    link.is_new = false;
  }
  return {};
}

base::Status LinkIntervals::ForgetBefore(store::Database& database, base::Time before) {
  RETURN_IF_ERROR(database.Execute("DELETE FROM link_intervals WHERE until_at < $1", {before}));
  return {};
}

base::Result<Json> LinkIntervals::Read(store::Database& database, const http::Request& request,
                                       const std::string& device_id, base::Time now) {
  base::Time from = now - kShown;
  base::Time to = now;
  for (const auto& [name, into] : {std::pair{"from", &from}, std::pair{"to", &to}}) {
    const std::string_view text = request.Query(name);
    if (text.empty()) continue;
    const auto time = base::ParseTime(text);
    if (!time.ok()) {
      return Error{ErrorCode::kInvalidArgument, base::StrCat(name, ": ", time.error().message)};
    }
    *into = *time;
  }
  if (from > to) return Error{ErrorCode::kInvalidArgument, "from: lies after to"};
  to = std::min(to, now);
  const bool is_until_now = to == now;

  struct Piece {
    base::Time from;
    base::Time until;
    std::string state;
    std::int64_t requests = 0;
    std::int64_t late = 0;
    std::optional<double> signal_dbm;
  };
  std::vector<Piece> heard;
  std::vector<Piece> away;
  std::optional<base::Time> known_since;
  const base::Status read = database.Read([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(
        const auto device,
        transaction.QueryOne("SELECT enrolled_at FROM devices WHERE device_id = $1", {device_id}));
    if (!device) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
    known_since = device->Time("enrolled_at");
    for (const auto& [who, into] :
         {std::pair{std::string_view(device_id), &heard}, std::pair{kServer, &away}}) {
      ASSIGN_OR_RETURN(
          const store::Rows rows,
          transaction.Query("SELECT from_at, until_at, state, requests, late, signal_dbm FROM "
                            "link_intervals WHERE device_id = $1 AND from_at < $3 AND "
                            "until_at >= $2 ORDER BY from_at DESC LIMIT $4",
                            {who, from, to, kIntervalsMax}));
      for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
        into->push_back({.from = row->Time("from_at"),
                         .until = row->Time("until_at"),
                         .state = row->Text("state"),
                         .requests = row->Int("requests"),
                         .late = row->Int("late"),
                         .signal_dbm = row->OptionalDouble("signal_dbm")});
      }
    }
    return {};
  });
  if (!read.ok()) return read.error();
  {
    // What is not written down yet.
    const std::lock_guard lock(mutex_);
    const auto add = [&](const Interval& interval) {
      if (interval.from >= to || interval.until < from) return;
      while (!heard.empty() && heard.back().from >= interval.from) heard.pop_back();
      heard.push_back({.from = interval.from,
                       .until = interval.until,
                       .state = interval.is_poor ? "poor" : "online",
                       .requests = interval.requests,
                       .late = interval.late,
                       .signal_dbm = interval.signal_dbm});
    };
    for (const Row& row : ended_) {
      if (row.device_id == device_id) add(row.interval);
    }
    const auto found = links_.find(device_id);
    if (found != links_.end()) add(found->second.open);
  }
  from = std::max(from, std::min(to, *known_since));

  Json::Array pieces;
  base::Duration online{0};
  base::Duration known{0};
  // Between two intervals: unknown as far as this server was away, else offline.
  const auto fill = [&](base::Time begin, base::Time end, bool is_open) {
    for (const Piece& gone : away) {
      const base::Time unknown_from = std::max(begin, gone.from);
      const base::Time unknown_until = std::min(end, gone.until + poll_);
      if (unknown_until <= unknown_from) continue;
      if (unknown_from > begin) {
        known += unknown_from - begin;
        pieces.push_back(PieceJson(begin, unknown_from, "offline"));
      }
      pieces.push_back(PieceJson(unknown_from, unknown_until, "unknown"));
      begin = unknown_until;
    }
    if (end <= begin) return;
    known += end - begin;
    pieces.push_back(
        PieceJson(begin, is_open ? std::nullopt : std::optional<base::Time>(end), "offline"));
  };
  base::Time at = from;
  for (std::size_t i = 0; i < heard.size(); ++i) {
    const Piece& piece = heard[i];
    const base::Time begin = std::max(piece.from, from);
    if (begin > at) fill(at, begin, false);
    const bool is_last = i + 1 == heard.size();
    // Silence of less than three polls is no absence yet.
    const bool is_open = is_last && is_until_now && to - piece.until <= absence();
    const base::Time end = is_open ? to : std::min(piece.until, to);
    if (end < begin) continue;
    online += end - begin;
    known += end - begin;
    Json json = PieceJson(begin, is_open ? std::nullopt : std::optional<base::Time>(end),
                          piece.state == "poor" ? "poor" : "online");
    json.Set("requests", piece.requests);
    json.Set("late", piece.late);
    json.Set("signal_dbm", piece.signal_dbm);
    pieces.push_back(std::move(json));
    at = end;
  }
  if (at < to) fill(at, to, is_until_now);
  Json share;
  if (known.count() > 0) {
    share = static_cast<double>(online.count()) / static_cast<double>(known.count());
  }
  return Json::MakeObject({{"from", base::FormatTime(from)},
                           {"to", base::FormatTime(to)},
                           {"online_share", std::move(share)},
                           {"intervals", std::move(pieces)}});
}

}  // namespace tinysphere::fleet
