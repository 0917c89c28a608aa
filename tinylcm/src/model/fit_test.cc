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

base::Result<std::unique_ptr<feature::FeatureModel>> OpenMeans(base::ByteView model,
                                                               const EngineOptions&) {
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

}  // namespace
}  // namespace tinylcm::model
