#include "agent/verbs.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "agent/replay.h"
#include "agent/upload.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/text.h"
#include "tinylcm/model/bundle_verbs.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/pipeline/taught.h"

namespace agent {

namespace model = tinylcm::model;

using base::Error;
using base::ErrorCode;
using base::Fail;
using base::StrCat;

namespace {

int Print(const base::Result<base::Json>& result) {
  if (!result.ok()) return Fail(kProgram, result.error());
  std::cout << result->WritePretty() << '\n';
  return base::kExitDone;
}

base::Result<tinylcm::classify::Metric> MetricNamed(const std::string& name) {
  using tinylcm::classify::Metric;
  if (name == "cosine") return Metric::kCosine;
  if (name == "euclidean") return Metric::kEuclidean;
  return Metric::kManhattan;
}

struct FitArguments {
  model::RunFitOptions run;
  UploadOptions upload;
  std::int64_t project = 0;
  std::int64_t anchors_per_class = 30;
  std::string output;
  std::int64_t output_index = -1;
  std::int64_t threads = 1;
  std::string classifier = "knn";
  std::string input_channels = "rgb";
  std::string input_scale = "uint8";
  std::string input_mean;
  std::string input_deviation;
  std::string projection_type = "f32";
  std::int64_t window = 0;
  std::int64_t window_step = 0;
  double sample_rate = 0.0;
  std::string window_statistics = "mean,deviation,min,max,rms";
  std::string window_bands;
  std::int64_t seed = 1;
  std::string metric = "cosine";
  std::string config;
  bool json = false;
};

// "0.485,0.456,0.406"
base::Status ReadThree(const std::string& text, const char* option, std::array<float, 3>& out) {
  const std::vector<std::string_view> parts = base::Split(text, ',');
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto value =
        parts.size() == out.size() ? base::ParseDouble(parts[i]) : base::Result<double>(0.0);
    if (parts.size() != out.size() || !value.ok()) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("fit: ", option, ": expected three numbers with commas between")};
    }
    out[i] = static_cast<float>(*value);
  }
  return {};
}

// --window 128 --window-step 64 --window-bands 0.5-5,5-20
base::Result<std::optional<protocol::BundleWindow>> ReadWindow(const FitArguments& given) {
  const auto refuse = [](const char* what) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("fit: ", what)};
  };
  if (given.window == 0) {
    if (given.window_step != 0 || !given.window_bands.empty()) {
      return refuse("--window-step and --window-bands go with --window");
    }
    return std::optional<protocol::BundleWindow>();
  }
  protocol::BundleWindow window;
  if (given.window < 2 || given.window > 65536 || given.window_step < 0 ||
      given.window_step > given.window) {
    return refuse("--window must be 2 to 65536, --window-step 1 to the window");
  }
  window.size = static_cast<int>(given.window);
  window.step = static_cast<int>(given.window_step == 0 ? given.window : given.window_step);
  window.sample_rate_hz = given.sample_rate;
  if (!(given.sample_rate >= 0.0)) return refuse("--sample-rate must not be below 0");
  for (const std::string_view name : base::Split(given.window_statistics, ',')) {
    if (name.empty()) continue;
    if (std::find(std::begin(protocol::kWindowStatistics), std::end(protocol::kWindowStatistics),
                  name) == std::end(protocol::kWindowStatistics)) {
      return refuse("--window-statistics: expected of mean, deviation, min, max, rms");
    }
    window.statistics.emplace_back(name);
  }
  for (const std::string_view band : base::Split(given.window_bands, ',')) {
    if (band.empty()) continue;
    const std::vector<std::string_view> ends = base::Split(band, '-');
    const auto from = ends.size() == 2 ? base::ParseDouble(ends[0]) : base::Result<double>(0.0);
    const auto to = ends.size() == 2 ? base::ParseDouble(ends[1]) : base::Result<double>(0.0);
    if (ends.size() != 2 || !from.ok() || !to.ok()) {
      return refuse("--window-bands: expected FROM-TO in hertz, with commas between");
    }
    window.bands.emplace_back(*from, *to);
  }
  if (window.features_a_channel() == 0) return refuse("a window without statistics or bands");
  return std::optional(window);
}

// How pictures are put to the model and which of its outputs is taken.
base::Status ReadModelOptions(const FitArguments& given, model::RunFitOptions& run) {
  namespace feature = tinylcm::feature;
  ASSIGN_OR_RETURN(run.input.channels, feature::ParseChannels(given.input_channels));
  ASSIGN_OR_RETURN(run.input.scale, feature::ParseScale(given.input_scale));
  const bool is_mean = run.input.scale == feature::InputRule::Scale::kMeanDeviation;
  if (is_mean != !given.input_mean.empty() || is_mean != !given.input_deviation.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "fit: --input-mean and --input-deviation go with --input-scale mean_deviation, "
                 "and it with them"};
  }
  if (is_mean) {
    RETURN_IF_ERROR(ReadThree(given.input_mean, "--input-mean", run.input.mean));
    RETURN_IF_ERROR(ReadThree(given.input_deviation, "--input-deviation", run.input.deviation));
    for (const float value : run.input.deviation) {
      if (!(value > 0.0f)) {
        return Error{ErrorCode::kInvalidArgument, "fit: --input-deviation must be above 0"};
      }
    }
  }
  if (given.threads < 1 || given.threads > 64) {
    return Error{ErrorCode::kInvalidArgument, "fit: --threads must be 1 to 64"};
  }
  run.threads = static_cast<std::uint32_t>(given.threads);
  // A number is an index, anything else a name.
  const auto index = base::ParseInt(given.output);
  if (given.output_index >= 0) run.output_index = static_cast<std::uint32_t>(given.output_index);
  if (index.ok() && *index >= 0 && *index < 256) {
    run.output_index = static_cast<std::uint32_t>(*index);
  } else {
    run.output_name = given.output;
  }
  return {};
}

// What the prototype's configuration says of model and processor;
// docs/guides/from_the_prototype.md.
base::Status TakePrototype(const std::string& path, FitArguments& given) {
  ASSIGN_OR_RETURN(const Config config, ReadConfig(base::SystemFileSystem(), path));
  if (!config.prototype) {
    return Error{ErrorCode::kInvalidArgument,
                 path + ": --config takes a file of the prototype's form, with feature_extractor"};
  }
  const PrototypeConfig& prototype = *config.prototype;
  given.run.model = prototype.model;
  given.run.processor = prototype.processor;
  given.run.labels = prototype.labels;
  given.run.fit.k = prototype.k;
  given.metric = prototype.metric;
  given.output_index = static_cast<std::int64_t>(prototype.output_index);
  return {};
}

int RunFitVerb(FitArguments& given) {
  if (!given.config.empty()) {
    const base::Status taken = TakePrototype(given.config, given);
    if (!taken.ok()) return Fail(kProgram, taken.error());
  }
  if (given.project < 0 || given.anchors_per_class < 0 || given.seed < 0) {
    return Fail(kProgram,
                Error{ErrorCode::kInvalidArgument,
                      "fit: --project, --anchors-per-class and --seed must not be negative"});
  }
  given.run.fit.project = static_cast<std::uint32_t>(given.project);
  given.run.fit.anchors_per_class = static_cast<std::uint32_t>(given.anchors_per_class);
  given.run.fit.seed = static_cast<std::uint64_t>(given.seed);
  given.run.fit.metric = *MetricNamed(given.metric);
  given.run.fit.classifier = *tinylcm::classify::ParseClassifierKind(given.classifier);
  given.run.fit.is_projection_int8 = given.projection_type == "i8";
  if (const base::Status status = ReadModelOptions(given, given.run); !status.ok()) {
    return Fail(kProgram, status.error());
  }
  auto window = ReadWindow(given);
  if (!window.ok()) return Fail(kProgram, window.error());
  given.run.window = std::move(window).value();
  const auto report = model::RunFit(given.run, base::SystemFileSystem(), base::SystemClock(),
                                    base::StderrLogger(), model::OpenEngine);
  if (!report.ok()) return Fail(kProgram, report.error());
  base::Json shown = report->Write();
  std::string text = report->Text();
  if (!given.upload.server.empty()) {
    const auto run = Upload(given.upload, given.run, *report, base::SystemFileSystem());
    if (!run.ok()) return Fail(kProgram, run.error());
    const base::Json* run_id = run->Find("run_id");
    shown.Set("run_id", run_id == nullptr ? base::Json() : *run_id);
    if (run_id != nullptr && run_id->is_string()) text += "\nrun " + run_id->as_string();
  }
  std::cout << (given.json ? shown.WritePretty() : text) << '\n';
  return base::kExitDone;
}

}  // namespace

void AddFit(base::CommandLine& line) {
  auto given = std::make_shared<FitArguments>();
  base::Command& fit = line.Add("fit", "Labelled rows or pictures -> a bundle");
  fit.Text("--rows", given->run.rows, "CSV with a header, one sample a line");
  fit.Text("--label-column", given->run.label_column, "The column of --rows that holds the label");
  fit.Text("--images", given->run.images, "Folder with one folder of JPEG or PNG files a class");
  fit.Text("--model", given->run.model, "Model of --images (.tflite or .onnx)");
  fit.Text("--classifier", given->classifier,
           "What answers: neighbours, a linear head, or the model's own softmax")
      .OneOf({"knn", "linear", "softmax"});
  fit.Text("--labels", given->run.labels,
           "Text file, a label a line in the order of the model's outputs; with --classifier "
           "softmax no pictures are needed then");
  fit.Text("--out", given->run.out, "Folder the bundle is written to").Required();
  fit.Text("--upload", given->upload.server,
           "URL of a server that gets bundle, list of data and figures as a training");
  fit.Text("--token-file", given->upload.token_file, "File with an operator's API token");
  fit.Text("--tls-pin", given->upload.tls_pin, "Key of the server's certificate, for --upload");
  fit.Text("--ca-file", given->upload.ca_file, "Certificates to trust, PEM, for --upload");
  fit.Text("--processor", given->run.processor,
           "A processor.safetensors to take as it is, instead of fitting one");
  fit.Text("--config", given->config,
           "The prototype's configuration: model, output, processor, labels, k and metric");
  fit.Flag("--standardise", given->run.fit.standardise, "Take mean and deviation off each channel");
  fit.Int("--project", given->project, "Keep this many main axes (PCA); 0: no projection");
  fit.Text("--projection-type", given->projection_type,
           "i8: a quarter of the bytes; refused where it costs accuracy")
      .OneOf({"f32", "i8"});
  fit.Text("--knn-scan", given->run.fit.knn_scan, "i8: the same answers, sooner")
      .OneOf({"f32", "i8"});
  fit.Text("--metric", given->metric, "How neighbours are measured")
      .OneOf({"cosine", "euclidean", "manhattan"});
  fit.Int("--anchors-per-class", given->anchors_per_class,
          "Known examples kept a class; 0: none, with a head");
  fit.Number("--canary-fraction", given->run.fit.canary_fraction,
             "Share kept out of everything, to judge later changes");
  fit.Int("--seed", given->seed, "Same data and seed, same bundle");
  fit.Text("--name", given->run.name, "Name of the model");
  fit.Text("--version", given->run.version, "Version of the bundle");
  fit.Text("--model-family", given->run.model_family,
           "Devices take only bundles of their family; default: the name");
  fit.Text("--licence", given->run.licence, "Licence of the bundle");
  fit.Text("--resize", given->run.resize, "How a picture becomes the model's input")
      .OneOf({"center_crop", "letterbox", "stretch"});
  fit.Int("--window", given->window,
          "Classify what the last N rows say together (a sensor); 0: each row by itself");
  fit.Int("--window-step", given->window_step, "Rows between two windows; default: the window");
  fit.Text("--window-statistics", given->window_statistics,
           "Of mean, deviation, min, max, rms, with commas between");
  fit.Text("--window-bands", given->window_bands,
           "Bands of frequencies, FROM-TO in hertz, with commas between; needs --sample-rate");
  fit.Number("--sample-rate", given->sample_rate, "Rows a second");
  fit.Text("--input-channels", given->input_channels, "The model's order of colours")
      .OneOf({"rgb", "bgr", "gray"});
  fit.Text("--input-scale", given->input_scale,
           "What the model's numbers mean: a pixel's own, 0 to 1, -1 to 1, or less a mean")
      .OneOf({"uint8", "unit", "symmetric", "mean_deviation"});
  fit.Text("--input-mean", given->input_mean, "R,G,B of mean_deviation, 0 to 1");
  fit.Text("--input-deviation", given->input_deviation, "R,G,B of mean_deviation");
  fit.Text("--output", given->output,
           "Which output of the model is taken: its name or number; default: the largest");
  fit.Int("--output-index", given->output_index, "The same by number; -1: the largest");
  fit.Int("--threads", given->threads, "Threads the model computes with");
  fit.Flag("--json", given->json, "Print figures as JSON");
  fit.Action([given] { return RunFitVerb(*given); });
}

namespace {

// A folder as it is, or the base and what a device learned on it made one.
int MakeBundle(model::BundleMakeOptions make, tinylcm::pipeline::TeachOptions teach) {
  base::FileSystem& fs = base::SystemFileSystem();
  if (teach.adaptation.empty()) {
    if (!teach.version.empty() || !teach.taught_by.empty()) {
      return Fail(kProgram, Error{ErrorCode::kInvalidArgument,
                                  "bundle make: --version and --taught-by go with --adaptation"});
    }
    return Print(model::BundleMake(fs, make));
  }
  if (teach.version.empty()) {
    return Fail(kProgram, Error{ErrorCode::kInvalidArgument,
                                "bundle make: --adaptation needs --version, of the new bundle"});
  }
  teach.base = make.folder;
  teach.min_agent = kVersion;
  teach.out = make.out + ".unfinished";
  if (const base::Status removed = base::RemoveTree(fs, teach.out); !removed.ok()) {
    return Fail(kProgram, removed.error());
  }
  const auto taught = tinylcm::pipeline::Teach(fs, teach, model::OpenEngine);
  if (!taught.ok()) return Fail(kProgram, taught.error());
  make.folder = teach.out;
  const auto made = model::BundleMake(fs, make);
  const base::Status removed = base::RemoveTree(fs, teach.out);
  if (made.ok() && !removed.ok()) return Fail(kProgram, removed.error());
  return Print(made);
}

}  // namespace

void AddBundle(base::CommandLine& line) {
  base::Command& bundle = line.Add("bundle", "Keys and signed bundles");

  auto keygen = std::make_shared<model::KeygenOptions>();
  base::Command& keygen_verb =
      bundle.Add("keygen", "Make a publisher's key pair: OUT.key, OUT.pub");
  keygen_verb.Text("--out", keygen->prefix, "Where the two files go, without their ending")
      .Required();
  keygen_verb.Action([keygen] { return Print(model::Keygen(base::SystemFileSystem(), *keygen)); });

  auto make = std::make_shared<model::BundleMakeOptions>();
  base::Command& make_verb = bundle.Add("make", "A bundle's folder -> one signed archive");
  auto teach = std::make_shared<tinylcm::pipeline::TeachOptions>();
  make_verb
      .Text("folder", make->folder,
            "The folder that fit wrote; with --adaptation, also the base as an archive")
      .Required();
  make_verb.Text("--out", make->out, "FILE.tar.zst").Required();
  make_verb.Text("--key", make->key_file, "The publisher's private key; without it, unsigned");
  make_verb.Text("--adaptation", teach->adaptation,
                 "What a device learned on that bundle: adaptation.bin of its package model");
  make_verb.Text("--version", teach->version, "Of the new bundle; needs --adaptation");
  make_verb.Text("--taught-by", teach->taught_by, "The device's id; needs --adaptation");
  make_verb.Action([make, teach] { return MakeBundle(*make, *teach); });

  auto sign = std::make_shared<model::BundleSignOptions>();
  base::Command& sign_verb = bundle.Add("sign", "Sign a folder or an archive");
  sign_verb.Text("path", sign->path, "Folder or archive").Required();
  sign_verb.Text("--key", sign->key_file, "The publisher's private key").Required();
  sign_verb.Action([sign] { return Print(model::BundleSign(base::SystemFileSystem(), *sign)); });

  auto verify = std::make_shared<model::BundleVerifyOptions>();
  base::Command& verify_verb = bundle.Add("verify", "Check every digest, and the signature");
  verify_verb.Text("path", verify->path, "Folder or archive").Required();
  verify_verb.Text("--publisher-key", verify->public_key_file,
                   "The publisher's public key; without it, digests only");
  verify_verb.Action(
      [verify] { return Print(model::BundleVerify(base::SystemFileSystem(), *verify)); });

  auto show = std::make_shared<model::BundleShowOptions>();
  base::Command& show_verb = bundle.Add("show", "Print what a bundle says of itself");
  show_verb.Text("path", show->path, "Folder or archive").Required();
  show_verb.Action([show] { return Print(model::BundleShow(base::SystemFileSystem(), *show)); });
}

void AddReplay(base::CommandLine& line) {
  struct Arguments {
    ReplayOptions options;
    std::string mode = "monitoring_only";
    std::int64_t seed = 1;
    bool verbose = false;
  };
  auto given = std::make_shared<Arguments>();
  base::Command& replay =
      line.Add("replay", "Run a recorded stream and print what would have happened");
  replay.Text("--bundle", given->options.bundle, "Folder or .tar.zst").Required();
  replay.Text("--rows", given->options.rows, "CSV with a header");
  replay.Text("--images", given->options.images, "Folder of pictures, or of a folder a class");
  replay.Text("--mjpeg", given->options.mjpeg, "Concatenated JPEGs, as a camera pipe gives them");
  replay.Text("--label-column", given->options.label_column, "The column of --rows with the truth");
  replay.Number("--false-alarm-every", given->options.false_alarm_every,
                "Samples between false alarms, on average");
  replay.Text("--mode", given->mode, "What the device may do by itself")
      .OneOf({"monitoring_only", "autonomous", "server_assisted"});
  replay.Int("--labels-per-event", given->options.labels_per_event,
             "Simulate an operator who labels this many asked samples an event");
  replay.Text("--events", given->options.events, "Write each drift event to this JSONL file");
  replay.Text("--predictions", given->options.predictions, "Write each answer to this CSV file");
  replay.Int("--seed", given->seed, "Same stream and seed, same answers");
  replay.Flag("--verbose", given->verbose, "Say on stderr what happens");
  replay.Action([given] {
    given->options.mode = *tinylcm::adapt::ParseMode(given->mode);
    given->options.seed = static_cast<std::uint64_t>(given->seed);
    const auto summary = Replay(
        given->options, base::SystemFileSystem(), base::SystemClock(),
        base::StderrLogger(given->verbose ? base::LogLevel::kInfo : base::LogLevel::kWarning));
    if (!summary.ok()) {
      // Everything it could miss was named on the command line.
      base::Error error = summary.error();
      if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kInvalidArgument;
      return Fail(kProgram, error);
    }
    std::cout << summary->Write() << '\n';
    return base::kExitDone;
  });
}

}  // namespace agent
