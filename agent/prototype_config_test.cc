#include "agent/prototype_config.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"

namespace agent {
namespace {

// The prototype's four parts; `processor` is what feature_transformation names.
std::string FourParts(const std::string& processor) {
  return R"({"feature_extractor": {"type": "TFLiteFeatureExtractor",
      "model_path": "./model/model_object.tflite", "feature_layer_index": 0},
    "feature_transformation": {"type": "StandardScalerPCA", "model_path": ")" +
         processor + R"("},
    "adaptive_classifier": {"type": "LightweightKNN", "k": 5, "distance_metric": "euclidean"},
    "drift_detectors": [{"type": "KNNDistanceMonitor", "delta": 0.1, "lambda_threshold": 5.0}]})";
}

bool Says(const std::vector<std::string>& texts, std::string_view part) {
  return std::ranges::any_of(
      texts, [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

TEST(PrototypeConfig, TheFourPartsAreAccepted) {
  const auto config =
      ParseConfig(FourParts("./model/feature_processor.safetensors"), "/opt/demo/config.json");
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_TRUE(config->prototype.has_value());
  const PrototypeConfig& prototype = *config->prototype;
  EXPECT_EQ(prototype.model, "/opt/demo/model/model_object.tflite") << "relative to the file";
  EXPECT_EQ(prototype.processor, "/opt/demo/model/feature_processor.safetensors");
  EXPECT_EQ(prototype.output_index, 0u);
  EXPECT_EQ(prototype.k, 5u);
  EXPECT_EQ(prototype.metric, "euclidean");
  EXPECT_EQ(prototype.detectors,
            (std::vector<PrototypeDetector>{{"KNNDistanceMonitor", 0.1, 5.0}}));
  EXPECT_EQ(config->source.kind, "camera");
  // The prototype's own threshold is half of what its distances spread by.
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_NE(config->warnings[0].find("alarm every 3.1 samples on average"), std::string::npos);
}

TEST(PrototypeConfig, APickleIsRefusedWithTheCommandThatConvertsIt) {
  const CheckedConfig checked =
      CheckConfig(FourParts("./model/feature_processor.pkl"), "demo/c.json");
  ASSERT_EQ(checked.problems.size(), 1u);
  EXPECT_TRUE(Says(checked.problems, "c.json:3: feature_transformation.model_path:"))
      << checked.problems.front();
  EXPECT_TRUE(
      Says(checked.problems,
           "python3 training/convert_prototype.py --config demo/c.json --out demo/converted"))
      << checked.problems.front();
}

TEST(PrototypeConfig, AnotherTypeIsRefusedByItsName) {
  std::string text = FourParts("p.safetensors");
  text.replace(text.find("LightweightKNN"), 14, "RandomForest");
  const auto config = ParseConfig(text, "c.json");
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find(
                "adaptive_classifier.type: LightweightKNN is expected, not RandomForest"),
            std::string::npos)
      << config.error().message;
}

TEST(PrototypeConfig, WhatHasACounterpartBecomesOursAndTheRestIsNamed) {
  const CheckedConfig checked = CheckConfig(
      R"({"device": {"name": "shed", "log_level": "INFO"},
          "camera": {"resolution": [640, 480], "framerate": 1, "rotation": 180},
          "model": {"labels_path": "./labels.txt", "threshold": 0.75},
          "tinylcm": {
            "feature_extractor": {"type": "TFLiteFeatureExtractor", "model_path": "m.tflite"},
            "feature_transformation": {"type": "StandardScalerPCATransformer",
                                       "model_path": "p.safetensors", "enabled": true},
            "adaptive_classifier": {"type": "LightweightKNN", "max_samples": 200,
                                    "initial_state_path": "./state.safetensors"},
            "drift_detectors": [{"type": "KNNDistanceMonitor", "delta": 2, "lambda_threshold": 10,
                                 "warm_up_samples": 0}],
            "sync_client": {"server_url": "http://127.0.0.1:8000", "sync_interval_seconds": 60},
            "data_logger": {"enabled": true, "max_log_size_mb": 100},
            "geolocation": {"fallback_coordinates": [0.0, 0.0]}},
          "application": {"inference_interval_ms": 2000}})",
      "cfg/c.json");
  ASSERT_TRUE(checked.problems.empty()) << checked.problems.front();
  const Config& config = checked.config;
  EXPECT_EQ(config.name, "shed");
  EXPECT_EQ(config.data, "cfg/tinylcm-data");
  EXPECT_EQ(
      config.source.command,
      "rpicam-vid -n -t 0 --codec mjpeg --width 640 --height 480 --framerate 1 --rotation 180 "
      "-o -");
  EXPECT_EQ(config.sync.interval, base::Duration{60'000});
  EXPECT_EQ(config.datalog_bytes, 100u << 20);
  EXPECT_EQ(config.prototype->labels, "cfg/labels.txt");
  EXPECT_EQ(config.prototype->detectors.at(0).lambda_threshold, 10.0);
  EXPECT_FALSE(config.location.latitude.has_value()) << "0, 0 is no place the device was ever at";
  for (const char* ignored :
       {"device.log_level", "model.threshold", "tinylcm.adaptive_classifier.max_samples",
        "tinylcm.adaptive_classifier.initial_state_path",
        "tinylcm.drift_detectors[0].warm_up_samples", "tinylcm.sync_client.server_url",
        "tinylcm.geolocation.fallback_coordinates", "application.inference_interval_ms"}) {
    EXPECT_TRUE(Says(config.warnings, base::StrCat(ignored, ": ignored: "))) << ignored;
  }
  // Its threshold is a tenth of what distances spread by: it alarms all the time, and that is said.
  // k = 2 / 10 and h = 10 / 10: CUSUM's run length there is 5.7.
  EXPECT_TRUE(Says(config.warnings,
                   "tinylcm.drift_detectors[0]: delta 2 and lambda_threshold 10 alarm every "));
  EXPECT_EQ(config.warnings.size(), 9u);
}

TEST(PrototypeConfig, OurOwnKeysStandBesideItAndWin) {
  std::string text = FourParts("p.safetensors");
  text.insert(1, R"("source": {"kind": "images", "path": "pics"}, "mode": "monitoring_only", )");
  const auto config = ParseConfig(text, "c.json");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->source.kind, "images");
  EXPECT_EQ(config->source.command, "");
  EXPECT_EQ(config->mode, tinylcm::adapt::Mode::kMonitoringOnly);
}

TEST(PrototypeConfig, AMisspeltKeyOfOursIsStillRefused) {
  std::string text = FourParts("p.safetensors");
  text.insert(1, R"("mod": "monitoring_only", )");
  const auto config = ParseConfig(text, "c.json");
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("mod: no such key; did you mean mode?"), std::string::npos);
}

}  // namespace
}  // namespace agent
