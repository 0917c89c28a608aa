#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/crypto.h"
#include "base/random.h"
#include "base/text.h"
#include "tinylcm/feature/window.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/source/folder_source.h"
#include "tinylcm/source/framer.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
using base::StrCat;

namespace {

constexpr std::uint64_t kRowsBytesMax = std::uint64_t{4} << 30;
constexpr std::uint64_t kModelBytesMax = 512u << 20;
constexpr std::uint64_t kLabelsBytesMax = 16u << 20;
constexpr std::size_t kWarningsMax = 10;

// What was read, and of what.
struct Loaded {
  FitData data;
  std::size_t skipped = 0;
  std::string digest;  // Of the material.
};

// Counts what is skipped and says why, but not a thousand times.
class Skipped {
 public:
  Skipped(base::Logger& logger) : logger_(logger) {}  // NOLINT: implicit is fine here
  void Add(const std::string& reason) {
    if (++count_ <= kWarningsMax) logger_.Warning("fit: skipped: " + reason);
  }
  std::size_t count() const { return count_; }

 private:
  base::Logger& logger_;
  std::size_t count_ = 0;
};

// Names to numbers: in the order of `label_names` where there is one, else in the names' own.
base::Status NumberLabels(const std::vector<std::string>& names, FitData& data) {
  if (data.label_names.empty()) {
    const std::set<std::string> distinct(names.begin(), names.end());
    data.label_names.assign(distinct.begin(), distinct.end());
  }
  std::map<std::string, std::uint16_t> numbers;
  for (const std::string& name : data.label_names) {
    numbers.emplace(name, static_cast<std::uint16_t>(numbers.size()));
  }
  for (const std::string& name : names) {
    const auto found = numbers.find(name);
    if (found == numbers.end()) {
      return Error{ErrorCode::kInvalidArgument, StrCat("fit: class \"", name, "\" is none of the ",
                                                       numbers.size(), " names of --labels")};
    }
    data.labels.push_back(found->second);
  }
  return {};
}

// A name a line; an empty line at the end is none.
base::Result<std::vector<std::string>> ReadLabels(base::FileSystem& fs, const std::string& path) {
  std::vector<std::string> labels;
  if (path.empty()) return labels;
  ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(fs, path, kLabelsBytesMax));
  for (std::string_view line : base::Split(base::AsText(bytes), '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) labels.emplace_back(line);
  }
  const std::set<std::string> distinct(labels.begin(), labels.end());
  if (labels.empty() || distinct.size() != labels.size()) {
    return Error{ErrorCode::kInvalidArgument, path + ": no label, or one twice"};
  }
  return labels;
}

// Pictures of a few shapes and colours, for a model that came without data: what it answers to them
// is what it must answer on the device.
base::Result<Loaded> DrawExamples(std::uint32_t count, std::uint64_t seed,
                                  feature::FeatureModel& engine, const source::ImageRule& rule) {
  Loaded loaded;
  FitData& data = loaded.data;
  data.raw_count = engine.feature_count();
  base::Random random(seed);
  std::vector<float> raw(data.raw_count);
  std::vector<std::uint8_t> picture(3 * static_cast<std::size_t>(rule.width) *
                                    static_cast<std::size_t>(rule.height));
  data.picture_bytes = picture.size();
  data.picture_width = rule.width;
  data.picture_height = rule.height;
  for (std::uint32_t i = 0; i < count; ++i) {
    // Squares of a size of their own, each of one colour.
    const int side = 4 << (i % 4);
    std::uint8_t colours[3][16][16];
    for (auto& plane : colours) {
      for (auto& row : plane) {
        for (std::uint8_t& value : row) value = static_cast<std::uint8_t>(random.Below(256));
      }
    }
    std::uint8_t* out = picture.data();
    for (int y = 0; y < rule.height; ++y) {
      for (int x = 0; x < rule.width; ++x) {
        for (const auto& plane : colours) *out++ = plane[y / side % 16][x / side % 16];
      }
    }
    RETURN_IF_ERROR(engine.Infer(picture, raw));
    data.raw.insert(data.raw.end(), raw.begin(), raw.end());
    data.pictures.insert(data.pictures.end(), picture.begin(), picture.end());
  }
  return loaded;
}

base::Result<Loaded> LoadRows(const RunFitOptions& options, base::FileSystem& fs,
                              base::Logger& logger, const std::vector<std::string>& labels,
                              std::vector<std::string>& channels) {
  if (options.label_column.empty()) {
    return Error{ErrorCode::kInvalidArgument, "fit: --rows needs --label-column"};
  }
  ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(fs, options.rows, kRowsBytesMax));
  source::RowOptions row_options;
  row_options.name = options.rows;
  row_options.label_column = options.label_column;
  source::CsvFramer framer(row_options);
  Loaded loaded;
  loaded.digest = base::Sha256Hex(bytes);
  framer.Take(bytes);
  framer.End();
  Skipped skipped(logger);
  std::vector<std::string> names;
  while (auto next = framer.Next()) {
    if (!next->ok()) {
      // Without a header there is nothing to go on with.
      if (framer.channels().empty()) return next->error();
      skipped.Add(next->error().message);
      continue;
    }
    const source::Frame& frame = next->value();
    if (frame.label.empty() && !options.window) {
      skipped.Add(StrCat(options.rows, ": a row without a label"));
      continue;
    }
    loaded.data.raw.insert(loaded.data.raw.end(), frame.row.begin(), frame.row.end());
    names.push_back(frame.label);
  }
  channels = framer.channels();
  loaded.data.raw_count = channels.size();
  loaded.skipped = skipped.count();
  if (names.empty()) return Error{ErrorCode::kInvalidArgument, options.rows + ": no usable row"};
  if (options.window) {
    // A row without a label is part of the windows all the same.
    ASSIGN_OR_RETURN(feature::LabelledWindows windows,
                     feature::WindowRows(*options.window, channels.size(), loaded.data.raw, names));
    loaded.data.raw = std::move(windows.features);
    loaded.data.raw_count = channels.size() * options.window->features_a_channel();
    names = std::move(windows.labels);
    if (names.empty()) {
      return Error{ErrorCode::kInvalidArgument, StrCat(options.rows, ": no window of ",
                                                       options.window->size, " rows has a label")};
    }
  }
  loaded.data.label_names = labels;
  RETURN_IF_ERROR(NumberLabels(names, loaded.data));
  return loaded;
}

base::Result<Loaded> LoadImages(const RunFitOptions& options, base::FileSystem& fs,
                                base::Clock& clock, base::Logger& logger,
                                const std::vector<std::string>& labels,
                                feature::FeatureModel& engine, source::ImageRule& rule) {
  ASSIGN_OR_RETURN(auto folder, source::FolderSource::Open(fs, clock, options.images));
  if (folder->labels().size() < 2) {
    return Error{ErrorCode::kInvalidArgument,
                 options.images + ": a folder per class is needed, at least two"};
  }
  source::PictureMaker maker({.rule = rule});
  Loaded loaded;
  FitData& data = loaded.data;
  data.raw_count = engine.feature_count();
  data.picture_bytes =
      3 * static_cast<std::size_t>(rule.width) * static_cast<std::size_t>(rule.height);
  data.picture_width = rule.width;
  data.picture_height = rule.height;
  Skipped skipped(logger);
  base::Sha256 digest;
  std::vector<std::string> names;
  std::vector<std::uint8_t> picture;
  std::vector<std::uint8_t> turned;
  std::vector<float> raw(data.raw_count);
  std::set<std::pair<int, int>> sizes;
  while (!folder->ended()) {
    const auto frame = folder->Next();
    if (!frame.ok()) {
      skipped.Add(frame.error().message);
      continue;
    }
    if ((*frame)->label.empty()) continue;
    if (const auto made = maker.Make((*frame)->view(), picture); !made.ok()) {
      skipped.Add(folder->path() + ": " + made.error().message);
      continue;
    }
    RETURN_IF_ERROR(engine.Infer(picture, raw));
    sizes.insert({maker.source_size().width, maker.source_size().height});
    digest.Update((*frame)->picture);
    digest.Update(base::AsBytes((*frame)->label));
    data.raw.insert(data.raw.end(), raw.begin(), raw.end());
    data.pictures.insert(data.pictures.end(), picture.begin(), picture.end());
    for (const bool clockwise : {false, true}) {
      TurnPicture(picture, rule.width, rule.height, clockwise, turned);
      RETURN_IF_ERROR(engine.Infer(turned, raw));
      std::vector<float>& all = data.turned_raw[clockwise ? 1 : 0];
      all.insert(all.end(), raw.begin(), raw.end());
    }
    names.push_back((*frame)->label);
  }
  // One camera, one size: then another size on the device is a mistake worth an error.
  if (sizes.size() == 1) {
    rule.source_width = sizes.begin()->first;
    rule.source_height = sizes.begin()->second;
  }
  loaded.skipped = skipped.count();
  loaded.digest = base::HexEncode(digest.Finish());
  if (names.empty()) {
    return Error{ErrorCode::kInvalidArgument, options.images + ": no usable picture"};
  }
  data.label_names = labels;
  RETURN_IF_ERROR(NumberLabels(names, data));
  return loaded;
}

}  // namespace

base::Result<FitReport> RunFit(const RunFitOptions& options, base::FileSystem& fs,
                               base::Clock& clock, base::Logger& logger,
                               const EngineOpener& open_engine) {
  const auto refuse = [](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, "fit: " + reason};
  };
  using classify::ClassifierKind;
  const bool is_model_alone = options.rows.empty() && options.images.empty() &&
                              options.fit.classifier == ClassifierKind::kSoftmax;
  if (options.rows.empty() == options.images.empty() && !is_model_alone) {
    return refuse("exactly one of --rows and --images is needed");
  }
  if (!options.rows.empty() && options.fit.classifier == ClassifierKind::kSoftmax) {
    return refuse("a softmax classifier is a model's own; rows have no model");
  }
  if (is_model_alone && options.labels.empty()) {
    return refuse("--classifier softmax without --images needs --labels");
  }
  if (options.window && options.rows.empty()) return refuse("a window is for --rows");
  if (options.out.empty()) return refuse("--out is missing");
  if (base::Exists(fs, options.out) &&
      !base::Exists(fs, base::JoinPath(options.out, protocol::kManifestPath))) {
    return Error{ErrorCode::kConflict, options.out + ": is there and is not a bundle"};
  }

  const bool is_image = options.rows.empty();
  ASSIGN_OR_RETURN(const std::vector<std::string> labels, ReadLabels(fs, options.labels));
  base::Bytes model;
  source::ImageRule rule;
  Loaded loaded;
  std::vector<std::string> channels;
  if (is_image) {
    if (options.model.empty()) {
      return refuse(is_model_alone ? "--model is missing" : "--images needs --model");
    }
    ASSIGN_OR_RETURN(rule.resize, source::ParseResize(options.resize));
    ASSIGN_OR_RETURN(model, base::ReadFile(fs, options.model, kModelBytesMax));
    EngineOptions engine_options;
    engine_options.threads = options.threads;
    engine_options.output_index = options.output_index;
    engine_options.output_name = options.output_name;
    // A classification model's answer has a number a label.
    if (options.fit.classifier == ClassifierKind::kSoftmax && !options.output_index &&
        options.output_name.empty()) {
      engine_options.output_size = static_cast<std::uint32_t>(labels.size());
    }
    engine_options.input = options.input;
    engine_options.file_name = options.model;
    auto engine = open_engine(model, engine_options);
    if (!engine.ok()) return engine.error().Within(options.model);
    if (!labels.empty() && options.fit.classifier == ClassifierKind::kSoftmax) {
      RETURN_IF_ERROR(CheckOutputs((*engine)->feature_count(), labels.size()));
    }
    rule.width = (*engine)->width();
    rule.height = (*engine)->height();
    if (is_model_alone) {
      ASSIGN_OR_RETURN(loaded, DrawExamples(options.fit.golden, options.fit.seed, **engine, rule));
      loaded.data.label_names = labels;
    } else {
      ASSIGN_OR_RETURN(loaded, LoadImages(options, fs, clock, logger, labels, **engine, rule));
    }
  } else {
    ASSIGN_OR_RETURN(loaded, LoadRows(options, fs, logger, labels, channels));
  }
  if (loaded.skipped > 0) {
    logger.Warning(StrCat("fit: ", loaded.skipped, " samples were skipped"));
  }

  Fitted fitted;
  if (is_model_alone) {
    ASSIGN_OR_RETURN(fitted.bundle, FitNothing(loaded.data, options.fit));
    fitted.report.dims = loaded.data.raw_count;
  } else {
    FitOptions fit = options.fit;
    if (!options.processor.empty()) {
      ASSIGN_OR_RETURN(const base::Bytes file,
                       base::ReadFile(fs, options.processor, kModelBytesMax));
      ASSIGN_OR_RETURN(fit.processor, ParseProcessor(file, options.processor));
    }
    ASSIGN_OR_RETURN(fitted, Fit(loaded.data, fit));
  }
  ModelBundle& bundle = fitted.bundle;
  protocol::BundleManifest& manifest = bundle.manifest;
  manifest.name = options.name;
  manifest.version = options.version;
  manifest.model_family = options.model_family.empty() ? options.name : options.model_family;
  manifest.device_class = options.device_class;
  manifest.min_agent = options.min_agent;
  manifest.licence = options.licence;
  if (!loaded.digest.empty()) manifest.lineage.data = loaded.digest;
  bundle.is_image = is_image;
  bundle.image_rule = rule;
  bundle.input_rule = options.input;
  bundle.feature_model = std::move(model);
  if (options.model.ends_with(".onnx")) bundle.feature_model_name = "model.onnx";
  bundle.config.threads = options.threads;
  bundle.config.output_index = options.output_index;
  bundle.config.output_name = options.output_name;
  if (options.fit.classifier == ClassifierKind::kSoftmax && !options.output_index &&
      options.output_name.empty()) {
    bundle.config.output_size = static_cast<std::uint32_t>(manifest.labels.size());
  }
  bundle.config.channels =
      options.window ? feature::WindowFeatureNames(*options.window, channels) : channels;
  protocol::BundleInput& input = manifest.input;
  if (is_image) {
    input.kind = protocol::BundleInput::Kind::kImage;
    input.width = rule.width;
    input.height = rule.height;
    input.channels = feature::Name(options.input.channels);
    input.resize = source::Name(rule.resize);
    input.scale = feature::Name(options.input.scale);
    if (options.input.scale == feature::InputRule::Scale::kMeanDeviation) {
      input.mean.assign(options.input.mean.begin(), options.input.mean.end());
      input.deviation.assign(options.input.deviation.begin(), options.input.deviation.end());
    }
    if (rule.source_width != 0) {
      input.source_width = rule.source_width;
      input.source_height = rule.source_height;
    }
  } else {
    input.kind = protocol::BundleInput::Kind::kRow;
    input.channel_count = static_cast<int>(channels.size());
    input.channel_names = channels;
    input.window = options.window;
  }

  // Beside the target first: what is there is whole, or not there.
  const std::string unfinished = options.out + ".unfinished";
  RETURN_IF_ERROR(base::RemoveTree(fs, unfinished));
  const auto written = WriteBundle(fs, bundle, unfinished);
  if (!written.ok()) {
    const base::Status removed = base::RemoveTree(fs, unfinished);
    static_cast<void>(removed.ok());
    return written.error();
  }
  RETURN_IF_ERROR(base::RemoveTree(fs, options.out));
  RETURN_IF_ERROR(fs.Rename(unfinished, options.out));
  RETURN_IF_ERROR(fs.SyncDirectory(std::string(base::FolderOf(options.out))));

  FitReport report = std::move(fitted.report);
  report.bundle = *written;
  report.skipped = loaded.skipped;
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs.List(options.out));
  for (const base::FileInfo& file : files) report.files.emplace_back(file.name, file.bytes);
  return report;
}

}  // namespace tinylcm::model
