// Streams from files that are no part of the project (TINYMLOPS_DATA): gas sensors that age over
// three years, the price of electricity, the weather. Nothing of ours was tuned on them.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/adapt/streams.h"
#include "tinylcm/model/fit.h"

namespace bench::adapt {

namespace {

namespace model = tinylcm::model;
using base::Error;
using base::ErrorCode;
using base::StrCat;

struct Table {
  std::size_t channels = 0;
  std::vector<float> rows;
  std::vector<std::uint16_t> labels;
  std::vector<int> batch;  // Gas only.

  std::size_t size() const { return labels.size(); }
  std::span<const float> row(std::size_t i) const {
    return std::span(rows).subspan(i * channels, channels);
  }
};

// Reads once, whatever it was, an error too.
base::Result<const Table*> Cached(const std::string& key,
                                  const std::function<base::Result<Table>()>& read) {
  static std::mutex mutex;
  static std::map<std::string, base::Result<Table>> tables;
  const std::lock_guard lock(mutex);
  const auto found = tables.try_emplace(key, read()).first;
  if (!found->second.ok()) return found->second.error();
  return &*found->second;
}

Error Missing(const std::string& what) {
  return {ErrorCode::kNotFound, StrCat(what, ": not measured, TINYMLOPS_DATA is not set")};
}

base::Result<Table> ReadGas(const std::string& folder) {
  auto& fs = base::SystemFileSystem();
  ASSIGN_OR_RETURN(const base::Bytes npy,
                   base::ReadFile(fs, folder + "/gas_drift/features.npy", 64u << 20));
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadTextFile(fs, folder + "/gas_drift/meta.csv", 16u << 20));
  Table gas;
  gas.channels = 128;
  for (std::size_t at = text.find('\n') + 1; at > 0 && at < text.size();
       at = text.find('\n', at) + 1) {
    int row = 0, batch = 0, label = 0;
    if (std::sscanf(text.c_str() + at, "%d,%d,%d", &row, &batch, &label) != 3) break;
    gas.batch.push_back(batch);
    gas.labels.push_back(static_cast<std::uint16_t>(label - 1));
  }
  // Version 1 of the format: ten bytes, the last two the length of the header; then the numbers.
  const std::size_t bytes = gas.size() * gas.channels * sizeof(float);
  const std::size_t header = npy.size() < 10 ? 0 : 10u + npy[8] + 256u * npy[9];
  if (bytes == 0 || npy.size() != header + bytes) {
    return Error{ErrorCode::kCorrupt, "gas_drift: features.npy and meta.csv do not fit together"};
  }
  gas.rows.resize(gas.size() * gas.channels);
  std::memcpy(gas.rows.data(), npy.data() + header, bytes);
  return gas;
}

// A CSV with a header and the label, 0 or 1, last.
base::Result<Table> ReadCsv(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadTextFile(base::SystemFileSystem(), path, 64u << 20));
  Table table;
  bool is_header = true;
  for (const std::string_view line : base::Split(base::Trim(text), '\n')) {
    const std::vector<std::string_view> cells = base::Split(line, ',');
    if (is_header) {
      table.channels = cells.size() - 1;
      is_header = false;
      continue;
    }
    if (cells.size() != table.channels + 1) {
      return Error{ErrorCode::kCorrupt, StrCat(path, ": line ", table.size() + 2)};
    }
    for (std::size_t i = 0; i < table.channels; ++i) {
      ASSIGN_OR_RETURN(const double value, base::ParseDouble(cells[i]));
      table.rows.push_back(static_cast<float>(value));
    }
    ASSIGN_OR_RETURN(const std::int64_t label, base::ParseInt(base::Trim(cells.back())));
    table.labels.push_back(static_cast<std::uint16_t>(label));
  }
  return table;
}

void Shuffle(std::vector<std::size_t>& values, base::Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[random.Below(i)]);
  }
}

base::Result<std::shared_ptr<const model::ModelBundle>> FitRows(
    const Table& table, const std::vector<std::size_t>& rows, const std::vector<std::string>& names,
    const std::string& name, model::FitOptions options) {
  model::FitData data;
  data.raw_count = table.channels;
  data.label_names = names;
  for (const std::size_t row : rows) {
    const auto values = table.row(row);
    data.raw.insert(data.raw.end(), values.begin(), values.end());
    data.labels.push_back(table.labels[row]);
  }
  options.standardise = true;
  ASSIGN_OR_RETURN(model::Fitted fitted, model::Fit(data, options));
  fitted.bundle.manifest.name = name;
  fitted.bundle.manifest.version = "1.0.0";
  fitted.bundle.manifest.input.kind = protocol::BundleInput::Kind::kRow;
  fitted.bundle.manifest.input.channel_count = static_cast<int>(table.channels);
  fitted.bundle.bundle = std::string(64, 'e');
  return std::make_shared<const model::ModelBundle>(std::move(fitted.bundle));
}

std::vector<Shown> Show(const Table& table, const std::vector<std::size_t>& rows, std::size_t first,
                        std::size_t last) {
  std::vector<Shown> shown;
  for (std::size_t i = first; i < std::min(last, rows.size()); ++i) {
    Shown& one = shown.emplace_back();
    const auto values = table.row(rows[i]);
    one.frame.row.assign(values.begin(), values.end());
    one.label = table.labels[rows[i]];
  }
  return shown;
}

}  // namespace

base::Result<Deal> DealGas(const std::string& data, int batch, std::uint64_t seed) {
  if (data.empty()) return Missing("gas");
  ASSIGN_OR_RETURN(const Table* gas, Cached("gas", [&] { return ReadGas(data); }));
  base::Random random(seed);
  std::vector<std::size_t> early, later;
  for (std::size_t i = 0; i < gas->size(); ++i) {
    if (gas->batch[i] <= 2) early.push_back(i);
    if (gas->batch[i] == batch) later.push_back(i);
  }
  Shuffle(early, random);
  Shuffle(later, random);
  const std::size_t fitted = early.size() * 6 / 10;
  model::FitOptions options;
  options.project = 64;
  options.anchors_per_class = 34;
  options.seed = seed;
  Deal deal;
  ASSIGN_OR_RETURN(
      deal.bundle,
      FitRows(*gas, {early.begin(), early.begin() + static_cast<std::ptrdiff_t>(fitted)},
              {"ethanol", "ethylene", "ammonia", "acetaldehyde", "acetone", "toluene"}, "gas",
              options));
  deal.names = deal.bundle->manifest.labels;
  // Rows of batches 1 and 2 that no fit has seen: what is usual, and a half that is only scored.
  const std::size_t middle = fitted + (early.size() - fitted) / 2;
  deal.quiet = Show(*gas, early, fitted, middle);
  deal.scored_quiet = Show(*gas, early, middle, early.size());
  if (batch == 0) {
    deal.changed = deal.quiet;
    deal.scored = deal.scored_quiet;
  } else {
    deal.changed = Show(*gas, later, 0, later.size() / 2);
    deal.scored = Show(*gas, later, later.size() / 2, later.size());
  }
  deal.quarantine = static_cast<std::uint32_t>(std::min<std::size_t>(300, deal.changed.size()));
  return deal;
}

namespace {

// In the file's order: fitted on the first tenth (a part drawn by the seed), used to the last rows
// before the change.
base::Result<Deal> DealInOrder(const Table& table, const std::string& name,
                               const std::vector<std::string>& names, std::size_t change,
                               std::size_t scored_until, std::uint64_t seed) {
  base::Random random(seed);
  const std::size_t head = table.size() / 10;
  std::vector<std::size_t> fitted;
  for (std::size_t i = 0; i < head; ++i) fitted.push_back(i);
  Shuffle(fitted, random);
  fitted.resize(head * 8 / 10);
  model::FitOptions options;
  options.anchors_per_class = 100;
  options.seed = seed;
  Deal deal;
  ASSIGN_OR_RETURN(deal.bundle, FitRows(table, fitted, names, name, options));
  deal.names = names;
  std::vector<std::size_t> order(table.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Where in the stream the change is met is drawn, too.
  const std::size_t start = change + random.Below(100);
  deal.quiet = Show(table, order, std::max(head, start - 400), start);
  deal.changed = Show(table, order, start, start + 700);
  deal.scored = Show(table, order, start + 700, scored_until);
  deal.scored_quiet = Show(table, order, head, std::min(head + 1500, change));
  return deal;
}

}  // namespace

base::Result<Deal> DealElec2(const std::string& data, int tenth, std::uint64_t seed) {
  if (data.empty()) return Missing("elec2");
  ASSIGN_OR_RETURN(const Table* table,
                   Cached("elec2", [&] { return ReadCsv(data + "/elec2/electricity.csv"); }));
  const std::size_t change = table->size() * static_cast<std::size_t>(tenth - 1) / 10;
  return DealInOrder(*table, "elec2", {"down", "up"}, std::max(change, table->size() / 10 + 600),
                     table->size() * static_cast<std::size_t>(tenth) / 10, seed);
}

base::Result<Deal> DealWeather(const std::string& data, bool natural, std::uint64_t seed) {
  if (data.empty()) return Missing("weather");
  const std::string file = natural ? "weather_natural" : "weather";
  ASSIGN_OR_RETURN(const Table* table,
                   Cached(file, [&] { return ReadCsv(StrCat(data, "/weather/", file, ".csv")); }));
  return DealInOrder(*table, file, {"dry", "rain"}, 12'000, 15'000, seed);
}

}  // namespace bench::adapt
