#include "tinylcm/model/bundle.h"

#include <gtest/gtest.h>

#include <string>

#include "base/crypto.h"
#include "tinylcm/src/model/small_bundle_test.h"

namespace tinylcm::model {
namespace {

using base::ErrorCode;

class BundleTest : public FolderTest {
 protected:
  BundleTest() { identity_ = FitInto("bundle"); }

  base::Result<ModelBundle> Load(const DeviceTraits& device = {}) {
    return LoadBundle(fs_, Path("bundle"), device);
  }
  base::Error LoadError(const DeviceTraits& device = {}) {
    auto bundle = Load(device);
    EXPECT_FALSE(bundle.ok());
    return bundle.ok() ? base::Error{} : bundle.error();
  }
  void Change(const std::string& name, const std::string& from, const std::string& to) {
    std::string text(base::AsText(Read(name)));
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    Write(name, base::AsBytes(text.replace(at, from.size(), to)));
  }

  std::string identity_;
};

TEST_F(BundleTest, IsKnownByTheDigestOfItsManifest) {
  const auto bundle = Load();
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_EQ(bundle->bundle, base::Sha256Hex(Read("bundle/manifest.json")));
  EXPECT_EQ(bundle->bundle, identity_);
  EXPECT_EQ(bundle->manifest.labels, (std::vector<std::string>{"class-0", "class-1", "class-2"}));
  EXPECT_EQ(bundle->raw_count(), 3u);
  EXPECT_EQ(bundle->anchors.size(), 30u);
  EXPECT_FALSE(bundle->is_image);
}

TEST_F(BundleTest, GoldenInputsAnswerAsTheyDidWhenItWasMade) {
  auto bundle = Load();
  ASSERT_TRUE(bundle.ok());
  ASSERT_GT(bundle->golden.count, 0u);
  EXPECT_TRUE(CheckGolden(*bundle, nullptr).ok());
  bundle->golden.features[0] += 1.0f;
  EXPECT_EQ(CheckGolden(*bundle, nullptr).error().code, ErrorCode::kCorrupt);
}

TEST_F(BundleTest, OneFlippedBitInAnyFileIsCorruptAndNamesTheFile) {
  for (const std::string name : {"config.json", "processor.safetensors", "reference.safetensors",
                                 "canary.safetensors", "golden.safetensors"}) {
    const base::Bytes whole = Read("bundle/" + name);
    for (const std::size_t at : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
      base::Bytes flipped = whole;
      flipped[at] ^= 0x10;
      Write("bundle/" + name, flipped);
      const base::Error error = LoadError();
      EXPECT_EQ(error.code, ErrorCode::kCorrupt);
      EXPECT_EQ(error.message, "bundle: " + name + ": sha256 differs from the manifest's");
    }
    Write("bundle/" + name, whole);
  }
  EXPECT_TRUE(Load().ok());
}

TEST_F(BundleTest, ATruncatedFileIsCorruptAndNamesBothSizes) {
  base::Bytes bytes = Read("bundle/reference.safetensors");
  const std::size_t whole = bytes.size();
  bytes.resize(whole / 2);
  Write("bundle/reference.safetensors", bytes);
  const base::Error error = LoadError();
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.message, base::StrCat("bundle: reference.safetensors: ", whole / 2,
                                        " bytes, the manifest says ", whole));
}

TEST_F(BundleTest, AMissingFileIsNotFound) {
  ASSERT_TRUE(fs_.Remove(Path("bundle/golden.safetensors")).ok());
  const base::Error error = LoadError();
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_EQ(error.message, "bundle: golden.safetensors is missing");
}

TEST_F(BundleTest, AFolderWithoutAManifestIsNotFound) {
  EXPECT_EQ(LoadBundle(fs_, Path("nowhere"), {}).error().code, ErrorCode::kNotFound);
}

TEST_F(BundleTest, ADamagedManifestIsCorrupt) {
  Change("bundle/manifest.json", "\"labels\"", "\"lapels\"");
  EXPECT_EQ(LoadError().code, ErrorCode::kCorrupt);
  Write("bundle/manifest.json", base::AsBytes("{"));
  EXPECT_EQ(LoadError().code, ErrorCode::kCorrupt);
}

TEST_F(BundleTest, SuitsOnlyItsFamilyClassAndAgent) {
  EXPECT_TRUE(
      Load({.model_family = "small", .device_class = "pi4", .agent_version = "0.1.0"}).ok());
  EXPECT_EQ(LoadError({.model_family = "other", .device_class = "", .agent_version = ""}).message,
            "bundle small 1.0.0 is for model family \"small\", this device runs \"other\"");
  EXPECT_EQ(LoadError({.model_family = "", .device_class = "", .agent_version = "0.0.9"}).message,
            "bundle small 1.0.0 needs agent 0.1.0 or newer, this is 0.0.9");
  auto bundle = Load();
  ASSERT_TRUE(bundle.ok());
  bundle->manifest.device_class = {"pi5"};
  EXPECT_EQ(
      CheckSuits(bundle->manifest, {.model_family = "", .device_class = "pi4", .agent_version = ""})
          .error()
          .message,
      "bundle small 1.0.0 is not for device class \"pi4\"");
}

TEST_F(BundleTest, AContentThatDoesNotFitTogetherIsCorrupt) {
  auto bundle = Load();
  ASSERT_TRUE(bundle.ok());
  ModelBundle changed = *bundle;
  changed.anchors.labels[0] = 99;
  EXPECT_EQ(Validate(changed).error().code, ErrorCode::kCorrupt);
  changed = *bundle;
  changed.processor.mean.pop_back();
  EXPECT_EQ(Validate(changed).error().code, ErrorCode::kCorrupt);
  changed = *bundle;
  changed.reference.rank[0] = {2.0f, 1.0f};
  EXPECT_EQ(Validate(changed).error().code, ErrorCode::kCorrupt);
}

TEST_F(BundleTest, WhatAdaptationRestsOnFitsOrIsRefused) {
  const auto bundle = Load();
  ASSERT_TRUE(bundle.ok());
  const auto refused = [&](auto change) {
    ModelBundle changed = *bundle;
    change(changed);
    const base::Status status = Validate(changed);
    EXPECT_FALSE(status.ok());
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_EQ(refused([](ModelBundle& b) { b.reference.left_out_label.pop_back(); }),
            "bundle: reference: leave-one-out outcomes of another number of anchors");
  EXPECT_EQ(refused([](ModelBundle& b) { b.reference.left_out_label[0] = 3; }),
            "bundle: reference: a leave-one-out outcome is no class");
  EXPECT_EQ(refused([](ModelBundle& b) { b.reference.left_out_share[0] = 1.5f; }),
            "bundle: reference: a leave-one-out outcome's share is not one");
  EXPECT_EQ(refused([](ModelBundle& b) { b.reference.class_channel_sd.pop_back(); }),
            "bundle: reference: channel statistics of another number of classes or channels");
  EXPECT_EQ(refused([](ModelBundle& b) { b.reference.histogram.assign(768, 0.1f); }),
            "bundle: reference: a histogram is of shares, 256 a colour");  // Of rows there is none.
  EXPECT_EQ(refused([](ModelBundle& b) { b.taught = {1, 2, 3}; }),
            "bundle: manifest.json: an adaptation, but no parent that it is on top of");
}

TEST_F(BundleTest, AnOlderBundleHasNoneOfItAndLoads) {
  auto bundle = Load();
  ASSERT_TRUE(bundle.ok());
  Reference& reference = bundle->reference;
  reference.left_out_label.clear();
  reference.left_out_share.clear();
  reference.class_channel_mean.clear();
  reference.class_channel_sd.clear();
  const auto older = WriteBundle(fs_, *bundle, Path("older"));
  ASSERT_TRUE(older.ok()) << older.error().message;
  EXPECT_NE(*older, bundle->bundle);
  const auto read = LoadBundle(fs_, Path("older"), {});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->reference, reference);
}

TEST_F(BundleTest, WhatADeviceLearnedTravelsAsAFileOfItsOwn) {
  auto bundle = Load();
  ASSERT_TRUE(bundle.ok());
  bundle->manifest.lineage.parent = bundle->bundle;
  bundle->manifest.lineage.taught_by = {"d-1"};
  bundle->taught = base::ToBytes("as the device serialised it");
  bundle->golden.taught_labels = bundle->golden.labels;
  bundle->golden.taught_features = bundle->golden.features;
  ASSERT_TRUE(WriteBundle(fs_, *bundle, Path("taught")).ok());
  const auto read = LoadBundle(fs_, Path("taught"), {});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->taught, bundle->taught);
  EXPECT_EQ(read->golden, bundle->golden);
  EXPECT_EQ(read->manifest.lineage, bundle->manifest.lineage);
  const protocol::NamedFile* file = read->manifest.FileWithRole("adaptation");
  ASSERT_NE(file, nullptr);
  // The digest by which a device names its adaptation.
  EXPECT_EQ(file->sha256, base::Sha256Hex(bundle->taught));
}

TEST_F(BundleTest, WhatIsWrittenReadsBackTheSame) {
  const auto bundle = Load();
  ASSERT_TRUE(bundle.ok());
  const auto again = WriteBundle(fs_, *bundle, Path("again"));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, bundle->bundle);
  const auto read = LoadBundle(fs_, Path("again"), {});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->anchors, bundle->anchors);
  EXPECT_EQ(read->calibration, bundle->calibration);
  EXPECT_EQ(read->reference, bundle->reference);
  EXPECT_EQ(read->canary, bundle->canary);
  EXPECT_EQ(read->golden, bundle->golden);
  EXPECT_EQ(read->config, bundle->config);
}

}  // namespace
}  // namespace tinylcm::model
