#include "tinylcm/model/fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tinylcm/source/image.h"
#include "tinylcm/src/model/small_bundle_test.h"

namespace tinylcm::model {
namespace {

using base::ErrorCode;

// Gives the mean of the picture's red, green and blue, and of its left half's red.
class MeansModel final : public feature::FeatureModel {
 public:
  int width() const override { return 8; }
  int height() const override { return 8; }
  std::size_t feature_count() const override { return 4; }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override {
    std::fill(raw.begin(), raw.end(), 0.0f);
    for (std::size_t i = 0; i < picture.size(); ++i) {
      raw[i % 3] += static_cast<float>(picture[i]) / 64.0f;
      if (i % 3 == 0 && i / 3 % 8 < 4) raw[3] += static_cast<float>(picture[i]) / 32.0f;
    }
    return {};
  }
};

// A classifier of its own: how green and how red the picture is, as shares or as logits.
class ColourModel final : public feature::FeatureModel {
 public:
  explicit ColourModel(bool gives_logits) : gives_logits_(gives_logits) {}
  int width() const override { return 8; }
  int height() const override { return 8; }
  std::size_t feature_count() const override { return 2; }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override {
    double red = 1.0, green = 1.0;
    for (std::size_t i = 0; i < picture.size(); i += 3) {
      red += picture[i];
      green += picture[i + 1];
    }
    raw[0] = static_cast<float>(gives_logits_ ? 10 * green / red : green / (red + green));
    raw[1] = static_cast<float>(gives_logits_ ? 10 * red / green : red / (red + green));
    return {};
  }

 private:
  bool gives_logits_;
};

base::Result<std::unique_ptr<feature::FeatureModel>> OpenMeans(base::ByteView model,
                                                               const EngineOptions&) {
  if (base::AsText(model) == "shares" || base::AsText(model) == "logits") {
    return std::unique_ptr<feature::FeatureModel>(new ColourModel(base::AsText(model) == "logits"));
  }
  if (base::AsText(model) != "means") return base::Error{ErrorCode::kCorrupt, "no model"};
  return std::unique_ptr<feature::FeatureModel>(new MeansModel);
}

class FitTest : public FolderTest {
 protected:
  RunFitOptions RowOptions(const std::string& out) {
    RunFitOptions options;
    options.rows = Path("rows.csv");
    options.label_column = "label";
    options.out = Path(out);
    options.fit.standardise = true;
    options.fit.anchors_per_class = 10;
    return options;
  }
  base::Result<FitReport> Run(const RunFitOptions& options) {
    return RunFit(options, fs_, base::SystemClock(), base::NullLogger(), OpenMeans);
  }
  // Pictures of two classes: red ones and green ones.
  void WriteImages(const std::string& folder) {
    base::Random random(1);
    for (int i = 0; i < 24; ++i) {
      source::Image image{16, 12, {}};
      for (int pixel = 0; pixel < 16 * 12; ++pixel) {
        const auto strong = static_cast<std::uint8_t>(200 + random.Below(40));
        const auto weak = static_cast<std::uint8_t>(random.Below(40));
        image.rgb.push_back(i % 2 == 0 ? strong : weak);
        image.rgb.push_back(i % 2 == 0 ? weak : strong);
        image.rgb.push_back(weak);
      }
      const std::string name = base::StrCat(folder, i % 2 == 0 ? "/red" : "/green");
      ASSERT_TRUE(fs_.CreateDirectories(Path(name)).ok());
      Write(base::StrCat(name, "/", i, ".jpg"), source::EncodeJpeg(image, 90).value());
    }
  }
};

TEST_F(FitTest, TheSameRowsAndSeedGiveTheSameBundle) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("a");
  const auto a = Run(options);
  ASSERT_TRUE(a.ok()) << a.error().message;
  options.out = Path("b");
  EXPECT_EQ(Run(options)->bundle, a->bundle);
  options.fit.seed = 2;
  EXPECT_NE(Run(options)->bundle, a->bundle);
}

TEST_F(FitTest, PartsAreDealtAsAsked) {
  Write("rows.csv", base::AsBytes(SmallRows(1, 40)));
  RunFitOptions options = RowOptions("out");
  options.fit.canary_fraction = 0.25;   // 10 of 40 a class; of the other 30 ...
  options.fit.held_out_fraction = 0.4;  // ... 12 are held out and 18 are left, of which ...
  options.fit.anchors_per_class = 15;   // ... 15 become anchors.
  const auto report = Run(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->samples, 120u);
  EXPECT_EQ(report->canary, 30u);
  EXPECT_EQ(report->held_out, 36u);
  EXPECT_EQ(report->anchors, 45u);
  // Classes ten deviations apart.
  EXPECT_EQ(report->leave_one_out_accuracy, 1.0);
  EXPECT_EQ(report->canary_accuracy, 1.0);
  EXPECT_LT(report->ece, 0.1);
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok());
  std::size_t ranked = 0;
  for (const auto& rank : bundle->reference.rank) ranked += rank.size();
  EXPECT_EQ(ranked, 36u);
}

TEST_F(FitTest, StandardiseGivesEachChannelMeanZeroAndDeviationOne) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  ASSERT_TRUE(Run(RowOptions("out")).ok());
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok());
  for (std::size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(bundle->reference.feature_mean[j], 0.0, 1e-5);
    EXPECT_NEAR(bundle->reference.feature_sd[j], 1.0, 1e-5);
    EXPECT_NEAR(bundle->reference.channel_mean[j], 1.0, 0.2);  // 3, 0, 0.
  }
}

TEST_F(FitTest, LeavesWhatAdaptationRestsOn) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  const auto report = Run(RowOptions("out"));
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  const Reference& reference = bundle->reference;
  // Classes ten deviations apart: every anchor's five nearest are of its own class.
  ASSERT_EQ(reference.left_out_label.size(), bundle->anchors.size());
  EXPECT_EQ(reference.left_out_label, bundle->anchors.labels);
  for (const float share : reference.left_out_share) EXPECT_EQ(share, 1.0f);
  EXPECT_EQ(report->leave_one_out_accuracy, 1.0);
  // Class c lies around 3 on channel c with a deviation of 0.3, and around 0 on the others. 27 rows
  // of each are fitted on: the mean is known to 0.3 / sqrt 27 = 0.06.
  ASSERT_EQ(reference.class_channel_mean.size(), 9u);
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_NEAR(reference.class_channel_mean[i], i / 3 == i % 3 ? 3.0 : 0.0, 0.25) << i;
    EXPECT_NEAR(reference.class_channel_sd[i], 0.3, 0.15) << i;
  }
  // Together they give what all rows have: there are as many of each class.
  for (std::size_t j = 0; j < 3; ++j) {
    const float mean = (reference.class_channel_mean[j] + reference.class_channel_mean[3 + j] +
                        reference.class_channel_mean[6 + j]) /
                       3.0f;
    EXPECT_NEAR(mean, reference.channel_mean[j], 1e-5);
  }
  // A covariance's diagonal is the variance; between channels of which exactly one is 3, with 1/3
  // each: 0 - 1 * 1.
  ASSERT_EQ(reference.channel_covariance.size(), 9u);
  for (std::size_t i = 0; i < 3; ++i) {
    const float sd = reference.channel_sd[i];
    EXPECT_NEAR(reference.channel_covariance[i * 3 + i], sd * sd, 1e-4);
    for (std::size_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(reference.channel_covariance[i * 3 + j], i == j ? sd * sd : -1.0f, 0.15);
      EXPECT_EQ(reference.channel_covariance[i * 3 + j], reference.channel_covariance[j * 3 + i]);
    }
    // 81 different numbers.
    EXPECT_NEAR(reference.channel_mode_share[i], 1.0 / 81.0, 1e-6);
  }
  EXPECT_TRUE(reference.histogram.empty());
  // Calibration, held-out ranks and canary.
  EXPECT_FALSE(bundle->calibration.scores.empty());
  EXPECT_GT(bundle->calibration.distance_limit, 0.0f);
  for (const std::vector<float>& rank : reference.rank) EXPECT_FALSE(rank.empty());
  EXPECT_EQ(bundle->canary.size(), report->canary);
}

TEST_F(FitTest, AnAnchorAmongStrangersIsKnownAsOne) {
  // One class-0 row in five lies where class 1 does; the anchors know whom their neighbours take
  // them for.
  std::string rows = "a,b,label\n";
  base::Random random(7);
  for (int i = 0; i < 120; ++i) {
    const bool is_first = i % 2 == 0;
    const bool is_astray = is_first && i % 10 == 0;
    rows += base::StrCat((is_first && !is_astray ? 3.0 : 0.0) + 0.2 * random.Normal(), ",",
                         (is_first && !is_astray ? 0.0 : 3.0) + 0.2 * random.Normal(), ",",
                         is_first ? "first" : "second", "\n");
  }
  Write("rows.csv", base::AsBytes(rows));
  RunFitOptions options = RowOptions("out");
  options.fit.anchors_per_class = 100;  // All there are.
  const auto report = Run(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok());
  std::size_t astray = 0;
  std::size_t right = 0;
  for (std::size_t i = 0; i < bundle->anchors.size(); ++i) {
    const bool lies_with_second = bundle->anchors.row(i)[1] > 0.0f;
    if (bundle->anchors.labels[i] == 0 && lies_with_second) {
      ++astray;
      EXPECT_EQ(bundle->reference.left_out_label[i], 1u);
      EXPECT_LT(bundle->reference.left_out_share[i], 0.5f);
    }
    right += bundle->reference.left_out_label[i] == bundle->anchors.labels[i] ? 1 : 0;
  }
  EXPECT_GT(astray, 0u);
  EXPECT_DOUBLE_EQ(report->leave_one_out_accuracy,
                   static_cast<double>(right) / static_cast<double>(bundle->anchors.size()));
}

TEST_F(FitTest, ProjectGivesAsManyNumbersAsAsked) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("out");
  options.fit.project = 2;
  const auto report = Run(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->dims, 2u);
  EXPECT_EQ(report->canary_accuracy, 1.0);  // Three classes span two axes.
}

TEST_F(FitTest, ABadRowIsSkippedAndCounted) {
  std::string rows = SmallRows(1);
  rows += "120,nan,0,0,class-0\n121,0,0\n122,0,0,0,\n";
  Write("rows.csv", base::AsBytes(rows));
  const auto report = Run(RowOptions("out"));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->samples, 120u);
  EXPECT_EQ(report->skipped, 3u);
}

TEST_F(FitTest, ImagesGoThroughTheModelAndThePictureRuleOfTheDevice) {
  WriteImages("images");
  Write("images/red/torn.jpg", base::AsBytes("no picture"));
  Write("model", base::AsBytes("means"));
  RunFitOptions options;
  options.images = Path("images");
  options.model = Path("model");
  options.out = Path("out");
  options.fit.anchors_per_class = 4;
  const auto report = Run(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->skipped, 1u);
  EXPECT_EQ(report->held_out_accuracy, 1.0);
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_TRUE(bundle->is_image);
  EXPECT_EQ(bundle->image_rule, (source::ImageRule{.width = 8,
                                                   .height = 8,
                                                   .resize = source::ImageRule::Resize::kCenterCrop,
                                                   .source_width = 16,
                                                   .source_height = 12}));
  EXPECT_EQ(bundle->reference.mean_image.size(), 8u * 8 * 3);
  EXPECT_NEAR(bundle->reference.mean_image[0], 120.0, 15.0);  // Half 220, half 20.
  // The levels' shares add up to one a colour, and give the mean image's own mean.
  ASSERT_EQ(bundle->reference.histogram.size(), 3u * 256);
  for (std::size_t colour = 0; colour < 3; ++colour) {
    double total = 0.0, mean = 0.0, mean_of_image = 0.0;
    for (std::size_t level = 0; level < 256; ++level) {
      const auto share = static_cast<double>(bundle->reference.histogram[colour * 256 + level]);
      total += share;
      mean += share * static_cast<double>(level);
    }
    for (std::size_t pixel = 0; pixel < 64; ++pixel) {
      mean_of_image += static_cast<double>(bundle->reference.mean_image[pixel * 3 + colour]) / 64.0;
    }
    EXPECT_NEAR(total, 1.0, 1e-5);
    EXPECT_NEAR(mean, mean_of_image, 1e-2);
  }
  EXPECT_TRUE(bundle->reference.class_channel_mean.empty());
  MeansModel engine;
  EXPECT_TRUE(CheckGolden(*bundle, &engine).ok());
  options.out = Path("again");
  EXPECT_EQ(Run(options)->bundle, report->bundle);

  Write("out/model.tflite", base::AsBytes("mean"));
  const auto truncated = LoadBundle(fs_, Path("out"), {});
  ASSERT_FALSE(truncated.ok());
  EXPECT_EQ(truncated.error().message, "bundle: model.tflite: 4 bytes, the manifest says 5");
}

TEST_F(FitTest, SaysWhatIsMissing) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("out");
  options.label_column = "lable";
  EXPECT_NE(Run(options).error().message.find("rows.csv:1: lable: header: no such column"),
            std::string::npos);
  options = RowOptions("out");
  options.images = Path("images");
  EXPECT_EQ(Run(options).error().message, "fit: exactly one of --rows and --images is needed");
  Write("rows.csv", base::AsBytes("a,label\n1,x\n2,y\n"));
  EXPECT_EQ(Run(RowOptions("out")).error().message,
            "fit: class \"x\" has 1 samples, at least 8 are needed");
  EXPECT_FALSE(base::Exists(fs_, Path("out")));
}

TEST_F(FitTest, DoesNotReplaceAFolderThatIsNoBundle) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  EXPECT_EQ(Run(RowOptions("")).error().code, ErrorCode::kConflict);  // The test's own folder.
}

TEST_F(FitTest, AWindowMakesStatisticsOfRows) {
  // One channel that stands still in one class and swings in the other: no row tells them apart,
  // the deviation over eight rows does.
  std::string text = "x,label\n";
  for (int i = 0; i < 1600; ++i) {
    const bool swings = i / 80 % 2 == 1;
    text += base::StrCat(swings ? (i % 2 == 0 ? 1.0 : -1.0) : 0.1 * (i % 3), ",",
                         swings ? "swings" : "still", "\n");
  }
  Write("rows.csv", base::AsBytes(text));
  RunFitOptions options = RowOptions("out");
  protocol::BundleWindow window;
  window.size = 8;
  window.step = 8;
  window.statistics = {"mean", "deviation"};
  options.window = window;
  const auto report = Run(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->samples, 200u);
  EXPECT_EQ(report->dims, 2u);
  EXPECT_EQ(report->held_out_accuracy, 1.0);
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_EQ(bundle->manifest.input.channel_count, 1);
  EXPECT_EQ(bundle->manifest.input.window, window);
  EXPECT_EQ(bundle->config.channels, (std::vector<std::string>{"x.mean", "x.deviation"}));
}

TEST_F(FitTest, AnInt8ProjectionIsAQuarterAndAnswersTheSame) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("f32");
  options.fit.project = 2;
  const auto exact = Run(options);
  ASSERT_TRUE(exact.ok()) << exact.error().message;
  options.out = Path("i8");
  options.fit.is_projection_int8 = true;
  const auto rounded = Run(options);
  ASSERT_TRUE(rounded.ok()) << rounded.error().message;
  EXPECT_GE(rounded->held_out_accuracy, exact->held_out_accuracy - options.fit.int8_cost_max);
  const auto bundle = LoadBundle(fs_, Path("i8"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_EQ(bundle->processor.projection_i8.size(), 6u);
  EXPECT_TRUE(bundle->processor.projection.empty());
  EXPECT_TRUE(CheckGolden(*bundle, nullptr).ok());
}

TEST_F(FitTest, AnInt8ProjectionThatCostsAccuracyIsRefusedWithBothFigures) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("out");
  options.fit.project = 2;
  options.fit.is_projection_int8 = true;
  options.fit.int8_cost_max = -0.5;  // It would have to be better by half.
  const auto report = Run(options);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message,
            "fit: an int8 projection gives a held-out accuracy of 1, a float one 1; at most -0.5 "
            "less is allowed");
  EXPECT_FALSE(base::Exists(fs_, Path("out")));
}

// ---- Heads ----

TEST_F(FitTest, ALinearHeadAnswersAsWellAsTheNeighbours) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("out");
  options.fit.classifier = classify::ClassifierKind::kLinear;
  const auto report = Run(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->held_out_accuracy, 1.0);  // Classes ten deviations apart.
  EXPECT_EQ(report->canary_accuracy, 1.0);
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_EQ(bundle->config.classifier, classify::ClassifierKind::kLinear);
  EXPECT_FALSE(bundle->is_adaptable());
  ASSERT_TRUE(bundle->head);
  EXPECT_EQ(bundle->head->classes(), 3u);
  EXPECT_EQ(bundle->anchors.size(), 30u);  // For the distance that drift is watched by.
  EXPECT_TRUE(CheckGolden(*bundle, nullptr).ok());
}

TEST_F(FitTest, ALinearHeadNeedsNoAnchors) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("out");
  options.fit.classifier = classify::ClassifierKind::kLinear;
  options.fit.anchors_per_class = 0;
  ASSERT_TRUE(Run(options).ok());
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_EQ(bundle->anchors.size(), 0u);
  EXPECT_EQ(bundle->feature_count(), 3u);
  EXPECT_TRUE(CheckGolden(*bundle, nullptr).ok());
  auto classifier = bundle->MakeClassifier();
  ASSERT_TRUE(classifier.ok());
  const auto prediction = classifier->Classify(bundle->canary.row(0));
  EXPECT_EQ(prediction.nearest, bundle->canary.labels[0]);
  EXPECT_FLOAT_EQ(prediction.anchor_distance, 1.0f - prediction.share);
}

TEST_F(FitTest, AClassificationModelAnswersByItself) {
  WriteImages("images");
  for (const char* kind : {"shares", "logits"}) {
    Write("model.onnx", base::AsBytes(kind));
    RunFitOptions options;
    options.images = Path("images");
    options.model = Path("model.onnx");
    options.out = Path(kind);
    options.fit.classifier = classify::ClassifierKind::kSoftmax;
    const auto report = Run(options);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->held_out_accuracy, 1.0);
    const auto bundle = LoadBundle(fs_, Path(kind), {});
    ASSERT_TRUE(bundle.ok()) << bundle.error().message;
    EXPECT_EQ(bundle->config.gives_logits, std::string(kind) == "logits");
    EXPECT_EQ(bundle->feature_model_name, "model.onnx");  // Which engine it needs.
    ColourModel engine(bundle->config.gives_logits);
    EXPECT_TRUE(CheckGolden(*bundle, &engine).ok());
  }
}

TEST_F(FitTest, AClassificationModelNeedsNoData) {
  Write("model.tflite", base::AsBytes("shares"));
  Write("labels.txt", base::AsBytes("green\r\nred\n\n"));
  RunFitOptions options;
  options.model = Path("model.tflite");
  options.labels = Path("labels.txt");
  options.out = Path("out");
  options.fit.classifier = classify::ClassifierKind::kSoftmax;
  const auto report = Run(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_EQ(bundle->manifest.labels, (std::vector<std::string>{"green", "red"}));
  EXPECT_EQ(bundle->golden.count, 4u);
  EXPECT_EQ(bundle->anchors.size(), 0u);
  ColourModel engine(false);
  EXPECT_TRUE(CheckGolden(*bundle, &engine).ok());
  ColourModel other(true);
  EXPECT_FALSE(CheckGolden(*bundle, &other).ok());
}

TEST_F(FitTest, LabelsThatAreNotAsManyAsOutputsAreRefusedWithBothCounts) {
  Write("model.tflite", base::AsBytes("shares"));
  WriteImages("images");
  for (const char* labels : {"green\n", "green\nred\nblue\n"}) {
    Write("labels.txt", base::AsBytes(labels));
    for (const std::string& images : {std::string(), Path("images")}) {
      RunFitOptions options;
      options.images = images;
      options.model = Path("model.tflite");
      options.labels = Path("labels.txt");
      options.out = Path("out");
      options.fit.classifier = classify::ClassifierKind::kSoftmax;
      const auto report = Run(options);
      ASSERT_FALSE(report.ok());
      EXPECT_EQ(report.error().code, ErrorCode::kInvalidArgument);
      const std::string counts =
          base::StrCat("gives 2 numbers, there are ", labels[6] == '\0' ? 1 : 3, " labels");
      EXPECT_NE(report.error().message.find(counts), std::string::npos) << report.error().message;
      EXPECT_FALSE(base::Exists(fs_, Path("out")));
    }
  }
}

TEST_F(FitTest, ALabelThatIsNoClassIsRefused) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  Write("labels.txt", base::AsBytes("class-0\nclass-1\n"));
  RunFitOptions options = RowOptions("out");
  options.labels = Path("labels.txt");
  EXPECT_EQ(Run(options).error().message,
            "fit: class \"class-2\" is none of the 2 names of --labels");
  Write("labels.txt", base::AsBytes("a\na\n"));
  EXPECT_EQ(Run(options).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(FitTest, LabelsGiveTheirOrder) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  Write("labels.txt", base::AsBytes("class-2\nclass-0\nclass-1\n"));
  RunFitOptions options = RowOptions("out");
  options.labels = Path("labels.txt");
  ASSERT_TRUE(Run(options).ok());
  const auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(bundle->manifest.labels[0], "class-2");
  // class-2 lies around 3 on the third channel.
  for (std::size_t i = 0; i < bundle->anchors.size(); ++i) {
    EXPECT_EQ(bundle->anchors.labels[i] == 0, bundle->anchors.row(i)[2] > 0.5f);
  }
}

TEST_F(FitTest, AHeadOfAnotherSizeIsRefusedAndNeverPadded) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  RunFitOptions options = RowOptions("out");
  options.fit.classifier = classify::ClassifierKind::kLinear;
  ASSERT_TRUE(Run(options).ok());
  auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok());
  bundle->head->weights.resize(3 * 2);
  EXPECT_EQ(Validate(*bundle).error().code, ErrorCode::kCorrupt);
  bundle->head.reset();
  EXPECT_EQ(Validate(*bundle).error().message, "bundle: head: none");
}

TEST_F(FitTest, AProcessorOfAnotherSizeIsRefusedAndNeverPadded) {
  Write("rows.csv", base::AsBytes(SmallRows(1)));
  ASSERT_TRUE(Run(RowOptions("out")).ok());
  auto bundle = LoadBundle(fs_, Path("out"), {});
  ASSERT_TRUE(bundle.ok());
  bundle->processor.mean.resize(2);
  bundle->processor.scale.resize(2);
  EXPECT_EQ(Validate(*bundle).error().message, "bundle: processor gives 2 numbers, anchors have 3");
  // The anchors as well: then it is the input that does not fit.
  for (classify::Anchors* anchors : {&bundle->anchors, &bundle->canary}) {
    anchors->dims = 2;
    anchors->vectors.resize(2 * anchors->size());
  }
  EXPECT_EQ(Validate(*bundle).error().message,
            "bundle: processor takes 2 channels, the input has 3");
}

}  // namespace
}  // namespace tinylcm::model
