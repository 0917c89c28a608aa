#include "tinylcm/src/pipeline/question.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "protocol/safetensors.h"
#include "protocol/samples.h"
#include "tinylcm/adapt/question.h"
#include "tinylcm/feature/picture_figures.h"
#include "tinylcm/pipeline/event_log.h"

namespace tinylcm::pipeline {

using base::Json;
using base::Status;
using base::StrCat;

namespace {

constexpr int kQuarantineQuality = 95;  // Of raw frames, which are kept as JPEG.

protocol::PackageFile JsonFile(std::string_view path, const Json& json) {
  return {std::string(path), "application/json", base::ToBytes(json.Write())};
}

}  // namespace

std::vector<std::string> LabelNames(const model::ModelBundle& bundle,
                                    const adapt::Quarantine& quarantine) {
  std::vector<std::string> names = bundle.manifest.labels;
  names.insert(names.end(), quarantine.opened().begin(), quarantine.opened().end());
  return names;
}

std::string LabelName(std::span<const std::string> names, std::uint16_t label) {
  return label < names.size() ? names[label] : "unknown";
}

float UsualDistance(const model::ModelBundle& bundle, std::uint16_t label) {
  const auto& held_out = bundle.reference.rank;
  if (label < held_out.size() && !held_out[label].empty()) {
    return held_out[label][held_out[label].size() / 2];
  }
  std::vector<float> all;
  for (const std::vector<float>& values : held_out) {
    all.insert(all.end(), values.begin(), values.end());
  }
  if (all.empty()) return 0.0f;
  std::ranges::sort(all);
  return all[all.size() / 2];
}

Status AddToQuarantine(const Seen& seen, const std::vector<source::MaskRegion>& masks,
                       Serving& bench, adapt::Quarantine& quarantine) {
  const model::ModelBundle& bundle = bench.bundle();
  adapt::QuarantinedSample sample;
  sample.sample_id = StrCat(quarantine.event_id(), "-", seen.index);
  sample.index = seen.index;
  sample.prediction = seen.prediction.label;
  sample.confidence = seen.prediction.confidence;
  sample.distance = seen.prediction.anchor_distance;
  sample.neighbours.assign(seen.prediction.neighbours.begin(),
                           seen.prediction.neighbours.begin() + seen.prediction.neighbour_count);
  sample.reason = "drift";
  sample.bundle = bundle.bundle;
  sample.has_picture = bundle.is_image;
  sample.feature.resize(bundle.feature_count());
  std::vector<std::uint8_t> picture;
  if (bundle.is_image) {
    RETURN_IF_ERROR(bench.Decode(seen.frame.view(), picture));
  } else {
    CHECK(seen.frame.row.size() == bundle.raw_count());
    sample.raw = seen.frame.row;
  }
  RETURN_IF_ERROR(bench.Embed(picture, sample.raw, sample.feature));
  if (bundle.is_adaptable()) {
    const classify::Prediction alone = bench.classifier().Classify(sample.feature);
    sample.novelty = adapt::Novelty(alone.anchor_distance, UsualDistance(bundle, alone.nearest));
  }
  // A row has no picture that masks could cover.
  const bool is_kept_as_it_is =
      !bundle.is_image ||
      (seen.frame.format == source::PictureFormat::kCompressed && masks.empty());
  if (is_kept_as_it_is) return quarantine.Add(sample, seen.frame.picture);
  ASSIGN_OR_RETURN(const base::Bytes file,
                   source::MaskedPicture(seen.frame.view(), masks, kQuarantineQuality));
  return quarantine.Add(sample, file);
}

void Describe(const drift::DriftExplanation& explanation,
              const std::optional<accuracy::Drop>& accuracy_drop, const model::ModelBundle& bundle,
              protocol::DriftEvent& event) {
  event.kind = drift::Name(explanation.kind);
  event.sigma = explanation.sigma;
  if (accuracy_drop) {
    event.accuracy_drop = accuracy_drop->mean;
    event.accuracy_drop_interval = {accuracy_drop->low, accuracy_drop->high};
  }
  event.log10_e = explanation.log10_e;
  event.change_point = explanation.change_index;
  event.change_point_interval = {explanation.change_first, explanation.change_last};
  event.text = explanation.text;
  event.signals.clear();
  for (const auto& share : explanation.signals) {
    event.signals.push_back({drift::Name(share.signal), share.share, share.shift_sigma});
  }
  event.classes.clear();
  for (const auto& share : explanation.classes) {
    event.classes.push_back({LabelName(bundle.manifest.labels, share.label), share.share});
  }
  event.channels.clear();
  const auto& names = bundle.config.channels;
  for (const auto& moved : explanation.channels) {
    if (event.channels.size() == EventLog::kChannelsKept) break;
    const std::size_t at = moved.index;
    event.channels.push_back({static_cast<std::int64_t>(moved.index),
                              bundle.is_image     ? feature::PictureFigureNames()[at]
                              : at < names.size() ? names[at]
                                                  : StrCat("ch", at),
                              moved.shift_sigma});
  }
}

namespace {

// samples.json and what lies beside it.
std::vector<protocol::PackageFile> SampleFiles(std::span<const adapt::Quarantine::Asked> asked,
                                               const QuestionOptions& options,
                                               const model::ModelBundle& bundle,
                                               const adapt::Quarantine& quarantine,
                                               const std::string& event_id) {
  protocol::SampleSet set;
  set.event_id = event_id;
  set.labels = LabelNames(bundle, quarantine);
  if (!bundle.is_image) {
    set.reference_row_mean.emplace(bundle.reference.channel_mean.begin(),
                                   bundle.reference.channel_mean.end());
    set.reference_row_sd.emplace(bundle.reference.channel_sd.begin(),
                                 bundle.reference.channel_sd.end());
  }
  std::vector<protocol::PackageFile> files(1);
  std::vector<float> features;
  std::vector<std::string> row_ids;
  std::vector<std::vector<float>> rows;
  for (const adapt::Quarantine::Asked& ask : asked) {
    const adapt::QuarantinedSample& sample = *quarantine.Find(ask.sample_id);
    protocol::SampleRecord record;
    record.sample_id = sample.sample_id;
    record.index = sample.index;
    record.prediction = LabelName(set.labels, sample.prediction);
    record.confidence = sample.confidence;
    for (const classify::Neighbour& neighbour : sample.neighbours) {
      record.neighbours.push_back(
          {neighbour.anchor, LabelName(set.labels, neighbour.label), neighbour.distance});
    }
    record.reason = ask.reason;
    record.cluster_mass = ask.cluster_mass;
    record.cluster_accuracy = ask.cluster_accuracy;
    record.novelty = ask.novelty;
    // After a swap to a bundle with other features, those of before do not fit beside the new ones.
    if (sample.feature.size() == bundle.feature_count()) {
      record.feature_row = features.size() / bundle.feature_count();
      features.insert(features.end(), sample.feature.begin(), sample.feature.end());
    }
    if (!bundle.is_image) {
      record.media = StrCat(protocol::kRowsPath, "#", rows.size());
      row_ids.push_back(sample.sample_id);
      rows.push_back(sample.raw);
    } else if (options.send_images) {
      auto picture = quarantine.Picture(sample.sample_id);
      if (picture.ok()) {
        record.media = StrCat("images/", sample.sample_id, ".jpg");
        files.push_back({record.media, "image/jpeg", std::move(*picture)});
      }
    }
    set.samples.push_back(std::move(record));
  }
  protocol::Safetensors tensors;
  tensors.Add("features", {features.size() / bundle.feature_count(), bundle.feature_count()},
              features);
  files[0] = JsonFile(protocol::kSamplesPath, protocol::ToJson(set));
  files.push_back(
      {std::string(protocol::kFeaturesPath), "application/octet-stream", tensors.Write()});
  if (!rows.empty()) {
    files.push_back({std::string(protocol::kRowsPath), "text/csv",
                     base::ToBytes(protocol::WriteRowsCsv(row_ids, rows))});
  }
  return files;
}

}  // namespace

std::vector<protocol::PackageFile> MakeQuestion(const QuestionOptions& options,
                                                const model::ModelBundle& bundle,
                                                const adapt::Quarantine& quarantine,
                                                protocol::DriftEvent& event) {
  const std::vector<adapt::Quarantine::Asked> asked =
      quarantine.AskFor(options.labels, options.seed);
  event.samples.clear();
  for (const adapt::Quarantine::Asked& ask : asked) event.samples.push_back(ask.sample_id);
  std::vector<protocol::PackageFile> files =
      SampleFiles(asked, options, bundle, quarantine, event.event_id);
  files.insert(files.begin(), JsonFile(protocol::kDriftEventPath, protocol::ToJson(event)));
  return files;
}

std::vector<protocol::PackageFile> MakeSamples(const QuestionOptions& options,
                                               const model::ModelBundle& bundle,
                                               const adapt::Quarantine& quarantine,
                                               protocol::DriftEvent& event) {
  std::vector<adapt::Quarantine::Asked> asked;
  if (quarantine.event_id() == event.event_id) {
    asked = quarantine.AskFor(options.labels, options.seed, event.samples);
  }
  for (adapt::Quarantine::Asked& ask : asked) {
    ask.reason = StrCat("more were asked for; ", ask.reason);
    event.samples.push_back(ask.sample_id);
  }
  return SampleFiles(asked, options, bundle, quarantine, event.event_id);
}

}  // namespace tinylcm::pipeline
