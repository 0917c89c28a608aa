#include "tinylcm/pipeline/taught.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/src/pipeline/stage_making.h"

namespace tinylcm::pipeline {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::uint64_t kAdaptationBytesMax = 64u << 20;
// What a feature may be off by, of the golden tolerance: scaling may have blown a difference up.
constexpr double kFeatureTolerance = 10.0;

// Golden input `i`, answered; its feature and answer are in `out`.
Status AnswerGolden(Serving& serving, std::size_t i, Inference& out) {
  const model::ModelBundle& bundle = serving.bundle();
  const model::Golden& golden = bundle.golden;
  if (bundle.is_image) {
    const std::size_t bytes = golden.pictures.size() / golden.count;
    out.picture = std::span(golden.pictures).subspan(i * bytes, bytes);
  } else {
    const auto row = std::span(golden.rows).subspan(i * bundle.raw_count(), bundle.raw_count());
    out.raw.assign(row.begin(), row.end());
  }
  return serving.InferDecoded(out);
}

Error Invalid(const std::string& what) {
  return {ErrorCode::kInvalidArgument, "bundle make: " + what};
}

// The base, from a folder or an archive; an archive is unpacked for as long as it takes to read.
Result<model::ModelBundle> LoadBase(base::FileSystem& fs, const TeachOptions& options) {
  ASSIGN_OR_RETURN(const base::FileInfo info, fs.Stat(options.base));
  if (info.is_directory) return model::LoadBundle(fs, options.base, {});
  const std::string unpacked = options.out + ".base";
  RETURN_IF_ERROR(base::RemoveTree(fs, unpacked));
  RETURN_IF_ERROR(model::UnpackArchive(fs, options.base, unpacked, nullptr, {}));
  auto bundle = model::LoadBundle(fs, unpacked, {});
  RETURN_IF_ERROR(base::RemoveTree(fs, unpacked));
  return bundle;
}

Result<model::ModelBundle> MakeTaught(base::FileSystem& fs, const TeachOptions& options,
                                      const model::EngineOpener& open_engine) {
  ASSIGN_OR_RETURN(model::ModelBundle loaded, LoadBase(fs, options));
  ASSIGN_OR_RETURN(base::Bytes bytes, base::ReadFile(fs, options.adaptation, kAdaptationBytesMax));
  auto adaptation = adapt::ParseAdaptation(bytes);
  if (!adaptation.ok()) return adaptation.error().Within(options.adaptation);
  if (adaptation->is_none()) return Invalid(options.adaptation + ": nothing was learned");
  if (adaptation->bundle != loaded.bundle) {
    return Invalid(StrCat(options.adaptation, ": was learned on bundle ", adaptation->bundle, ", ",
                          options.base, " is ", loaded.bundle));
  }
  if (options.version == loaded.manifest.version) {
    return Invalid(StrCat("version ", options.version, " is the base's own; give it another"));
  }
  const auto parent = std::make_shared<const model::ModelBundle>(std::move(loaded));
  ASSIGN_OR_RETURN(const std::unique_ptr<Serving> serving,
                   MakeServing(open_engine, parent, *adaptation, {}));

  model::ModelBundle taught = *parent;
  taught.taught = std::move(bytes);
  model::Golden& golden = taught.golden;
  golden.taught_features.clear();
  golden.taught_labels.clear();
  Inference out;
  for (std::size_t i = 0; i < golden.count; ++i) {
    RETURN_IF_ERROR(AnswerGolden(*serving, i, out));
    golden.taught_features.insert(golden.taught_features.end(), out.feature.begin(),
                                  out.feature.end());
    golden.taught_labels.push_back(out.prediction.nearest);
  }
  protocol::BundleManifest& manifest = taught.manifest;
  manifest.version = options.version;
  manifest.lineage.parent = parent->bundle;
  if (!options.taught_by.empty()) manifest.lineage.taught_by.push_back(options.taught_by);
  if (!options.min_agent.empty() && !protocol::IsAtLeast(manifest.min_agent, options.min_agent)) {
    manifest.min_agent = options.min_agent;
  }
  return taught;
}

}  // namespace

Result<adapt::Adaptation> TaughtBy(const model::ModelBundle& bundle) {
  adapt::Adaptation none;
  none.bundle = bundle.bundle;
  if (bundle.taught.empty()) return none;
  auto taught = adapt::ParseAdaptation(bundle.taught);
  if (!taught.ok()) return taught.error().Within("bundle: adaptation.bin");
  const std::string parent = bundle.manifest.lineage.parent.value_or("");
  if (taught->bundle != parent) {
    return Error{ErrorCode::kCorrupt,
                 StrCat("bundle: adaptation.bin: was learned on bundle ", taught->bundle,
                        ", the manifest's parent is ", parent.empty() ? "none" : parent)};
  }
  taught->bundle = bundle.bundle;
  return taught;
}

Status CheckTaught(Serving& serving) {
  const model::ModelBundle& bundle = serving.bundle();
  const model::Golden& golden = bundle.golden;
  const std::size_t dims = bundle.feature_count();
  const double tolerance = kFeatureTolerance * bundle.config.golden_tolerance;
  Inference out;
  for (std::size_t i = 0; i < golden.taught_labels.size(); ++i) {
    RETURN_IF_ERROR(AnswerGolden(serving, i, out));
    const auto expected = std::span(golden.taught_features).subspan(i * dims, dims);
    for (std::size_t j = 0; j < dims; ++j) {
      const double want = static_cast<double>(expected[j]);
      // Written so that NaN fails.
      if (!(std::abs(static_cast<double>(out.feature[j]) - want) <=
            tolerance * std::max(1.0, std::abs(want)))) {
        return Error{ErrorCode::kCorrupt,
                     StrCat("bundle: golden input ", i, " with what was taught: feature ", j,
                            " is ", out.feature[j], ", expected ", expected[j])};
      }
    }
    if (out.prediction.nearest != golden.taught_labels[i]) {
      return Error{ErrorCode::kCorrupt,
                   StrCat("bundle: golden input ", i, " with what was taught: class ",
                          out.prediction.nearest, ", expected ", golden.taught_labels[i])};
    }
  }
  return {};
}

protocol::LearnedModel LearnedOn(const model::ModelBundle& bundle,
                                 const adapt::Adaptation& adaptation, const std::string& sha256) {
  protocol::LearnedModel model;
  model.base_bundle = bundle.bundle;
  model.name = bundle.manifest.name;
  model.version = bundle.manifest.version;
  model.model_family = bundle.manifest.model_family;
  model.hypothesis = adaptation.hypothesis.name();
  model.challenger = adaptation.challenger.name();
  model.labels = adaptation.labels.size();
  model.vectors = adaptation.memory.size();
  model.adaptation_sha256 = sha256;
  if (!adaptation.event_id.empty()) model.event_id = adaptation.event_id;
  model.opened = adaptation.opened;
  for (const adapt::Label& label : adaptation.labels) {
    if (label.feedback_id.empty() || std::find(model.taught_by.begin(), model.taught_by.end(),
                                               label.feedback_id) != model.taught_by.end()) {
      continue;
    }
    model.taught_by.push_back(label.feedback_id);
  }
  return model;
}

Result<std::string> Teach(base::FileSystem& fs, const TeachOptions& options,
                          const model::EngineOpener& open_engine) {
  if (base::Exists(fs, options.out)) {
    return Error{ErrorCode::kConflict, options.out + ": is there already"};
  }
  ASSIGN_OR_RETURN(const model::ModelBundle taught, MakeTaught(fs, options, open_engine));
  auto written = model::WriteBundle(fs, taught, options.out);
  if (!written.ok()) static_cast<void>(base::RemoveTree(fs, options.out).ok());
  return written;
}

}  // namespace tinylcm::pipeline
