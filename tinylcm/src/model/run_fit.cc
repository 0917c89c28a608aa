#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
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

// Names to numbers, in the names' order.
void NumberLabels(const std::vector<std::string>& names, FitData& data) {
  const std::set<std::string> distinct(names.begin(), names.end());
  data.label_names.assign(distinct.begin(), distinct.end());
  for (const std::string& name : names) {
    const auto found = std::lower_bound(data.label_names.begin(), data.label_names.end(), name);
    data.labels.push_back(static_cast<std::uint16_t>(found - data.label_names.begin()));
  }
}

base::Result<Loaded> LoadRows(const RunFitOptions& options, base::FileSystem& fs,
                              base::Logger& logger, std::vector<std::string>& channels) {
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
    if (frame.label.empty()) {
      skipped.Add(StrCat(options.rows, ": a row without a label"));
      continue;
    }
    loaded.data.raw.insert(loaded.data.raw.end(), frame.row.begin(), frame.row.end());
    names.push_back(frame.label);
  }
  channels = framer.channels();
  loaded.data.raw_count = channels.size();
  loaded.skipped = skipped.count();
  NumberLabels(names, loaded.data);
  if (names.empty()) return Error{ErrorCode::kInvalidArgument, options.rows + ": no usable row"};
  return loaded;
}

base::Result<Loaded> LoadImages(const RunFitOptions& options, base::FileSystem& fs,
                                base::Clock& clock, base::Logger& logger,
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
  Skipped skipped(logger);
  base::Sha256 digest;
  std::vector<std::string> names;
  std::vector<std::uint8_t> picture;
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
    names.push_back((*frame)->label);
  }
  // One camera, one size: then another size on the device is a mistake worth an error.
  if (sizes.size() == 1) {
    rule.source_width = sizes.begin()->first;
    rule.source_height = sizes.begin()->second;
  }
  loaded.skipped = skipped.count();
  loaded.digest = base::HexEncode(digest.Finish());
  NumberLabels(names, data);
  if (names.empty()) {
    return Error{ErrorCode::kInvalidArgument, options.images + ": no usable picture"};
  }
  return loaded;
}

}  // namespace

base::Result<FitReport> RunFit(const RunFitOptions& options, base::FileSystem& fs,
                               base::Clock& clock, base::Logger& logger,
                               const EngineOpener& open_engine) {
  const auto refuse = [](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, "fit: " + reason};
  };
  if (options.rows.empty() == options.images.empty()) {
    return refuse("exactly one of --rows and --images is needed");
  }
  if (options.out.empty()) return refuse("--out is missing");
  if (base::Exists(fs, options.out) &&
      !base::Exists(fs, base::JoinPath(options.out, protocol::kManifestPath))) {
    return Error{ErrorCode::kConflict, options.out + ": is there and is not a bundle"};
  }

  const bool is_image = !options.images.empty();
  base::Bytes model;
  source::ImageRule rule;
  Loaded loaded;
  std::vector<std::string> channels;
  if (is_image) {
    if (options.model.empty()) return refuse("--images needs --model");
    ASSIGN_OR_RETURN(rule.resize, source::ParseResize(options.resize));
    ASSIGN_OR_RETURN(model, base::ReadFile(fs, options.model, kModelBytesMax));
    EngineOptions engine_options;
    engine_options.output_index = options.output_index;
    auto engine = open_engine(model, engine_options);
    if (!engine.ok()) return engine.error().Within(options.model);
    rule.width = (*engine)->width();
    rule.height = (*engine)->height();
    ASSIGN_OR_RETURN(loaded, LoadImages(options, fs, clock, logger, **engine, rule));
  } else {
    ASSIGN_OR_RETURN(loaded, LoadRows(options, fs, logger, channels));
  }
  if (loaded.skipped > 0) {
    logger.Warning(StrCat("fit: ", loaded.skipped, " samples were skipped"));
  }

  ASSIGN_OR_RETURN(Fitted fitted, Fit(loaded.data, options.fit));
  ModelBundle& bundle = fitted.bundle;
  protocol::BundleManifest& manifest = bundle.manifest;
  manifest.name = options.name;
  manifest.version = options.version;
  manifest.model_family = options.model_family.empty() ? options.name : options.model_family;
  manifest.device_class = options.device_class;
  manifest.min_agent = options.min_agent;
  manifest.licence = options.licence;
  manifest.lineage.data = loaded.digest;
  bundle.is_image = is_image;
  bundle.image_rule = rule;
  bundle.feature_model = std::move(model);
  bundle.config.output_index = options.output_index;
  bundle.config.channels = channels;
  protocol::BundleInput& input = manifest.input;
  if (is_image) {
    input.kind = protocol::BundleInput::Kind::kImage;
    input.width = rule.width;
    input.height = rule.height;
    input.channels = "rgb";
    input.resize = source::Name(rule.resize);
    input.scale = "uint8";
    if (rule.source_width != 0) {
      input.source_width = rule.source_width;
      input.source_height = rule.source_height;
    }
  } else {
    input.kind = protocol::BundleInput::Kind::kRow;
    input.channel_count = static_cast<int>(channels.size());
    input.channel_names = channels;
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
