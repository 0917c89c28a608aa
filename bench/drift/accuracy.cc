// Accuracy without labels: does the interval hold the truth, how often is there one, and how far is
// the estimate off?
//
// Streams are cut into windows of 500 answers that do not overlap; each is estimated by the code a
// device runs (pipeline/accuracy.h) and held against the labels. The constants of accuracy/ were
// set on the camera at another place with digits of another pool, on a sensor array of another
// seed, and on the weather; the weather is shown and does not count.

#include "tinylcm/pipeline/accuracy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/table.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/model/litert.h"
#include "tinylcm/pipeline/serving.h"
#include "tools/tinyscene/drawer.h"
#include "tools/tinyscene/export.h"
#include "tools/tinyscene/sensor_array.h"
#include "tools/tinyscene/shot.h"

namespace bench::drift {
namespace {

namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;
namespace accuracy = tinylcm::accuracy;
using base::Result;
using base::StrCat;

constexpr std::size_t kWindow = 500;

// What became of the windows of a stream.
struct Score {
  std::size_t windows = 0;
  std::size_t unknown = 0;
  std::size_t held = 0;
  double error = 0.0;  // Summed, as the rest.
  double width = 0.0;
  double truth = 0.0;

  std::size_t known() const { return windows - unknown; }
  void Add(const Score& other) {
    windows += other.windows;
    unknown += other.unknown;
    held += other.held;
    error += other.error;
    width += other.width;
    truth += other.truth;
  }
};

// One stream under way: answers go in, windows are judged.
class Judge {
 public:
  Judge(std::shared_ptr<const model::ModelBundle> bundle)
      : bundle_(std::move(bundle)), estimator_(pipeline::MakeEstimator(*bundle_, {})) {}

  void Add(const tinylcm::classify::Prediction& prediction, int truth) {
    estimator_.Observe(pipeline::AnswerOf(prediction, *bundle_));
    right_ += prediction.nearest == truth ? 1 : 0;
    if (++seen_ < kWindow) return;
    const accuracy::Estimate estimate = estimator_.Over(kWindow);
    const double share = static_cast<double>(right_) / static_cast<double>(kWindow);
    score_.windows += 1;
    score_.truth += share;
    if (estimate.known()) {
      score_.held += estimate.low <= share && share <= estimate.high ? 1 : 0;
      score_.error += std::abs(estimate.mean - share);
      score_.width += estimate.high - estimate.low;
    } else {
      score_.unknown += 1;
    }
    seen_ = 0;
    right_ = 0;
  }

  const Score& score() const { return score_; }

 private:
  std::shared_ptr<const model::ModelBundle> bundle_;
  accuracy::Estimator estimator_;
  Score score_;
  std::size_t seen_ = 0;
  std::size_t right_ = 0;
};

struct Stream {
  std::string name;
  enum class Kind { kQuiet, kPhotometric, kOther, kTuned } kind = Kind::kOther;
  std::function<Result<Score>()> run;
};

// ---- The camera -------------------------------------------------------------------------------

struct Picture {
  tinyscene::Drifts drifts = {};
  double unseen = 0.0;  // Of class 4, which the bundle then does not know.
};

source::Frame FrameOf(base::ByteView jpeg) {
  source::Frame frame;
  frame.picture.assign(jpeg.begin(), jpeg.end());
  return frame;
}

Result<std::shared_ptr<const model::ModelBundle>> FitCamera(const tinyscene::Digits& digits,
                                                            const base::Bytes& model_bytes,
                                                            std::optional<int> without) {
  ASSIGN_OR_RETURN(const auto engine, model::OpenLiteRt(model_bytes, {}));
  source::PictureMaker maker({.rule = {}});
  const auto drawer = tinyscene::MakeDrawer(tinyscene::Kind::kCamera, 41, digits);
  model::FitData data;
  data.raw_count = engine->feature_count();
  for (int label = 0; label < tinyscene::kClasses; ++label) {
    data.label_names.push_back(std::to_string(label));
  }
  for (const tinyscene::Shot& shot :
       tinyscene::PlanExport(digits, {.pool = tinyscene::Pool::kT}, 80, std::nullopt)) {
    ASSIGN_OR_RETURN(const base::ByteView jpeg, drawer->Draw(shot));
    const source::Frame frame = FrameOf(jpeg);
    ASSIGN_OR_RETURN(const auto picture, maker.Make(frame.view()));
    data.raw.resize(data.raw.size() + data.raw_count);
    RETURN_IF_ERROR(engine->Infer(picture, std::span(data.raw).last(data.raw_count)));
    data.labels.push_back(static_cast<std::uint16_t>(shot.label));
  }
  model::FitOptions options;
  options.standardise = true;
  options.project = 64;
  ASSIGN_OR_RETURN(model::Fitted fitted, model::Fit(data, options));
  auto bundle = std::make_shared<model::ModelBundle>(std::move(fitted.bundle));
  bundle->is_image = true;
  bundle->feature_model = model_bytes;
  if (without) {
    const auto drop = [&](tinylcm::classify::Anchors& anchors) {
      tinylcm::classify::Anchors kept;
      kept.dims = anchors.dims;
      for (std::size_t i = 0; i < anchors.size(); ++i) {
        if (anchors.labels[i] != *without) kept.Add(anchors.row(i), anchors.labels[i]);
      }
      anchors = std::move(kept);
    };
    drop(bundle->anchors);
    drop(bundle->canary);
  }
  return std::shared_ptr<const model::ModelBundle>(std::move(bundle));
}

Result<Score> RunCamera(const std::shared_ptr<const model::ModelBundle>& bundle,
                        const tinyscene::Digits& digits, const Picture& picture,
                        std::size_t windows) {
  Score score;
  for (const std::uint64_t place : {7u, 8u}) {
    ASSIGN_OR_RETURN(auto engine, model::OpenLiteRt(bundle->feature_model, {}));
    ASSIGN_OR_RETURN(const auto serving,
                     pipeline::Serving::Create(bundle, std::move(engine), {}, {}));
    const auto drawer = tinyscene::MakeDrawer(tinyscene::Kind::kCamera, place, digits);
    const tinyscene::Settings settings{
        .pool = tinyscene::Pool::kB, .drifts = picture.drifts, .unseen = picture.unseen};
    const std::optional<int> left_out = picture.unseen > 0.0 ? std::optional(4) : std::nullopt;
    Judge judge(bundle);
    pipeline::Inference inference;
    for (std::uint32_t number = 0; number < windows * kWindow; ++number) {
      const tinyscene::Shot shot = tinyscene::ChooseShot(digits, place, number, settings, left_out);
      ASSIGN_OR_RETURN(const base::ByteView jpeg, drawer->Draw(shot));
      RETURN_IF_ERROR(serving->Infer(FrameOf(jpeg), inference));
      judge.Add(inference.prediction, shot.label);
    }
    score.Add(judge.score());
  }
  return score;
}

// ---- Rows -------------------------------------------------------------------------------------

struct Rows {
  std::size_t channels = 0;
  std::vector<float> values;
  std::vector<std::uint16_t> labels;
  std::uint16_t classes = 0;

  std::size_t size() const { return labels.size(); }
};

// The first `fitted` rows make the bundle, the rest is the stream.
Result<Score> RunRows(const Rows& rows, std::size_t fitted, std::uint32_t anchors_per_class) {
  model::FitData data;
  data.raw_count = rows.channels;
  data.raw.assign(rows.values.begin(),
                  rows.values.begin() + static_cast<std::ptrdiff_t>(fitted * rows.channels));
  data.labels.assign(rows.labels.begin(),
                     rows.labels.begin() + static_cast<std::ptrdiff_t>(fitted));
  for (std::uint16_t label = 0; label < rows.classes; ++label) {
    data.label_names.push_back(std::to_string(label));
  }
  model::FitOptions options;
  options.standardise = true;
  options.metric = tinylcm::classify::Metric::kEuclidean;
  options.anchors_per_class = anchors_per_class;
  options.held_out_max = 400;
  ASSIGN_OR_RETURN(model::Fitted made, model::Fit(data, options));
  const auto bundle = std::make_shared<const model::ModelBundle>(std::move(made.bundle));
  ASSIGN_OR_RETURN(const auto serving, pipeline::Serving::Create(bundle, nullptr, {}, {}));
  Judge judge(bundle);
  pipeline::Inference inference;
  source::Frame frame;
  for (std::size_t i = fitted; i < rows.size(); ++i) {
    frame.index = i;
    const float* first = rows.values.data() + i * rows.channels;
    frame.row.assign(first, first + rows.channels);
    RETURN_IF_ERROR(serving->Infer(frame, inference));
    judge.Add(inference.prediction, rows.labels[i]);
  }
  return judge.score();
}

// A sensor array fitted when new that then ages to `aged`.
Result<Score> RunSensor(const tinyscene::Digits& digits, double aged, std::size_t windows) {
  Rows rows;
  rows.channels = tinyscene::kDigitCells;
  rows.classes = tinyscene::kClasses;
  const auto add = [&](std::uint64_t seed, const tinyscene::Settings& settings,
                       std::uint32_t per_class) {
    for (const tinyscene::Shot& shot :
         tinyscene::PlanExport(digits, settings, per_class, std::nullopt)) {
      const auto row =
          tinyscene::ReadArray(seed, shot.number, digits.digit(shot.digit), shot.drifts);
      rows.values.insert(rows.values.end(), row.begin(), row.end());
      rows.labels.push_back(static_cast<std::uint16_t>(shot.label));
    }
  };
  add(43, {.pool = tinyscene::Pool::kT}, 80);
  const std::size_t fitted = rows.size();
  add(44, {.pool = tinyscene::Pool::kB, .drifts = {.aged = aged}},
      static_cast<std::uint32_t>(windows * kWindow / tinyscene::kClasses));
  return RunRows(rows, fitted, 30);
}

// CSV with a header and the class, a small number, last.
Result<Rows> ReadCsv(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadTextFile(base::SystemFileSystem(), path, 64u << 20));
  Rows rows;
  bool is_header = true;
  for (const std::string_view line : base::Split(text, '\n')) {
    if (std::exchange(is_header, false) || line.empty()) continue;
    const std::vector<std::string_view> fields = base::Split(line, ',');
    rows.channels = fields.size() - 1;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      ASSIGN_OR_RETURN(const double value, base::ParseDouble(fields[i]));
      if (i < rows.channels) {
        rows.values.push_back(static_cast<float>(value));
      } else {
        rows.labels.push_back(static_cast<std::uint16_t>(value));
        rows.classes = std::max(rows.classes, static_cast<std::uint16_t>(value + 1.0));
      }
    }
  }
  return rows;
}

// features.npy (float32, rows by 128) and meta.csv: batches in their order, each as it was
// shuffled.
Result<Rows> ReadGas(const std::string& folder, std::size_t& fitted) {
  base::FileSystem& fs = base::SystemFileSystem();
  ASSIGN_OR_RETURN(const base::Bytes features,
                   base::ReadFile(fs, folder + "/features.npy", 64u << 20));
  ASSIGN_OR_RETURN(const std::string meta, base::ReadTextFile(fs, folder + "/meta.csv", 8u << 20));
  struct Row {
    int batch = 0;
    int at = 0;
    std::size_t row = 0;
    std::uint16_t label = 0;
  };
  std::vector<Row> order;
  bool is_header = true;
  for (const std::string_view line : base::Split(meta, '\n')) {
    if (std::exchange(is_header, false) || line.empty()) continue;
    const std::vector<std::string_view> fields = base::Split(line, ',');
    Row row;
    ASSIGN_OR_RETURN(const std::int64_t number, base::ParseInt(fields.at(0)));
    ASSIGN_OR_RETURN(const std::int64_t batch, base::ParseInt(fields.at(1)));
    ASSIGN_OR_RETURN(const std::int64_t label, base::ParseInt(fields.at(2)));
    ASSIGN_OR_RETURN(const std::int64_t at, base::ParseInt(fields.at(5)));
    order.push_back({static_cast<int>(batch), static_cast<int>(at),
                     static_cast<std::size_t>(number), static_cast<std::uint16_t>(label - 1)});
  }
  std::ranges::sort(order, {}, [](const Row& row) { return std::pair(row.batch, row.at); });

  Rows rows;
  rows.channels = 128;
  rows.classes = 6;
  const std::size_t bytes = order.size() * rows.channels * sizeof(float);
  if (features.size() < bytes) {
    return base::Error{base::ErrorCode::kCorrupt, "gas features: too short"};
  }
  const std::uint8_t* values = features.data() + (features.size() - bytes);
  for (const Row& row : order) {
    fitted += row.batch <= 2 ? 1 : 0;
    rows.values.resize(rows.values.size() + rows.channels);
    std::memcpy(rows.values.data() + rows.values.size() - rows.channels,
                values + row.row * rows.channels * sizeof(float), rows.channels * sizeof(float));
    rows.labels.push_back(row.label);
  }
  return rows;
}

// ---- All of them ------------------------------------------------------------------------------

base::Status Measure(const Settings& settings, Table& table) {
  base::FileSystem& fs = base::SystemFileSystem();
  ASSIGN_OR_RETURN(const std::string csv, base::ReadTextFile(fs, TINYMLOPS_DIGITS, 1u << 22));
  ASSIGN_OR_RETURN(const tinyscene::Digits digits, tinyscene::Digits::Parse(csv));
  ASSIGN_OR_RETURN(const base::Bytes model_bytes,
                   base::ReadFile(fs, TINYMLOPS_CAMERA_MODEL, 16u << 20));
  ASSIGN_OR_RETURN(const auto camera, FitCamera(digits, model_bytes, std::nullopt));
  ASSIGN_OR_RETURN(const auto camera_without, FitCamera(digits, model_bytes, 4));
  const std::size_t windows = settings.quick ? 1 : 3;

  using Kind = Stream::Kind;
  std::vector<Stream> streams;
  const auto add_camera = [&](const std::string& name, Kind kind, const Picture& picture) {
    streams.push_back({"camera_" + name, kind, [&, picture] {
                         return RunCamera(picture.unseen > 0.0 ? camera_without : camera, digits,
                                          picture, windows);
                       }});
  };
  add_camera("quiet", Kind::kQuiet, {});
  for (const int percent : {30, 45, 60, 75}) {
    add_camera(StrCat("light_", percent), Kind::kPhotometric,
               {.drifts = {.light = percent / 100.0}});
  }
  for (const int percent : {30, 50, 65, 80}) {
    add_camera(StrCat("dirt_", percent), Kind::kPhotometric, {.drifts = {.dirt = percent / 100.0}});
  }
  add_camera("light_40_dirt_50", Kind::kPhotometric, {.drifts = {.light = 0.4, .dirt = 0.5}});
  for (const int percent : {25, 45}) {
    add_camera(StrCat("rotation_", percent), Kind::kOther,
               {.drifts = {.rotation = percent / 100.0}});
    add_camera(StrCat("noise_", percent - 10), Kind::kOther,
               {.drifts = {.noise = (percent - 10) / 100.0}});
  }
  add_camera("unseen_class_30", Kind::kOther, {.unseen = 0.3});
  for (const int percent : {0, 10, 25, 50}) {
    streams.push_back({StrCat("sensor_aged_", percent), percent == 0 ? Kind::kQuiet : Kind::kOther,
                       [&, percent] { return RunSensor(digits, percent / 100.0, 2 * windows); }});
  }
  if (settings.data.empty()) {
    table.Skip("A", "elec2, gas and weather: TINYMLOPS_DATA is not there");
  } else {
    streams.push_back({"elec2", Kind::kOther, [&]() -> Result<Score> {
                         ASSIGN_OR_RETURN(const Rows rows,
                                          ReadCsv(settings.data + "/elec2/electricity.csv"));
                         return RunRows(rows, 4'000, 400);
                       }});
    streams.push_back({"gas", Kind::kOther, [&]() -> Result<Score> {
                         std::size_t fitted = 0;
                         ASSIGN_OR_RETURN(const Rows rows,
                                          ReadGas(settings.data + "/gas_drift", fitted));
                         return RunRows(rows, fitted, 60);
                       }});
    streams.push_back({"weather", Kind::kTuned, [&]() -> Result<Score> {
                         ASSIGN_OR_RETURN(const Rows rows,
                                          ReadCsv(settings.data + "/weather/weather.csv"));
                         return RunRows(rows, 3'000, 400);
                       }});
  }

  std::vector<std::optional<Result<Score>>> scores(streams.size());
  ForEach(streams.size(), settings.threads,
          [&](std::size_t i) { scores[i].emplace(streams[i].run()); });

  Score all;
  Score photometric;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const Stream& stream = streams[i];
    if (!scores[i]->ok()) return scores[i]->error().Within(stream.name);
    const Score& score = scores[i]->value();
    if (score.windows == 0) continue;
    const auto known = static_cast<double>(std::max<std::size_t>(1, score.known()));
    const auto n = static_cast<double>(score.windows);
    std::fprintf(stderr,
                 "  %-24s %3zu windows, right %.3f, unknown %3zu, held %3zu of %3zu, off "
                 "%.3f, interval %.3f wide%s\n",
                 stream.name.c_str(), score.windows, score.truth / n, score.unknown, score.held,
                 score.known(), score.error / known, score.width / known,
                 stream.kind == Kind::kTuned ? " (tuned on, does not count)" : "");
    if (stream.kind == Kind::kTuned) continue;
    all.Add(score);
    if (stream.kind == Kind::kPhotometric) photometric.Add(score);
  }
  const auto known = static_cast<double>(std::max<std::size_t>(1, all.known()));
  const std::string conditions = StrCat(all.windows, " windows of 500 of ", streams.size(),
                                        " streams, ", all.known(), " with an estimate, interval ",
                                        base::FormatShort(all.width / known), " wide on average");
  table.Add({.name = "accuracy.coverage",
             .bar = "A",
             .value = static_cast<double>(all.held) / known,
             .unit = "share",
             .better = "higher",
             .at_least = 0.9,
             .conditions = StrCat("of the 90 % interval; ", conditions)});
  table.Add({.name = "accuracy.unknown",
             .bar = "A",
             .value = static_cast<double>(all.unknown) / static_cast<double>(all.windows),
             .unit = "share",
             .at_most = 0.5,
             .conditions = conditions});
  table.Add({.name = "accuracy.error",
             .bar = "A",
             .value = all.error / known,
             .unit = "share",
             .conditions = conditions});
  const auto known_light = static_cast<double>(std::max<std::size_t>(1, photometric.known()));
  table.Add({.name = "accuracy.error_light_dirt",
             .bar = "A",
             .value = photometric.error / known_light,
             .unit = "share",
             .at_most = 0.05,
             .conditions = StrCat("mean distance from the truth, camera digits with light and "
                                  "dirt, ",
                                  photometric.known(), " of ", photometric.windows,
                                  " windows with an estimate")});
  return {};
}

}  // namespace

void AccuracyWithoutLabels(const Settings& settings, Table& table) {
  const base::Status measured = Measure(settings, table);
  if (!measured.ok()) table.Skip("A", measured.error().message);
}

}  // namespace bench::drift
