#include "tinylcm/adapt/concept.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tinylcm::adapt {
namespace {

using base::ErrorCode;
using classify::Metric;

constexpr std::size_t kDims = 16;
constexpr std::uint16_t kClasses = 4;

// Class c lies at 3 on axis c; drift d moves six of the axes, each its own, by `size`.
std::vector<float> Draw(base::Random& random, int drift, std::size_t rows, double size = 2.0) {
  std::vector<float> features;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::uint64_t label = random.Below(kClasses);
    for (std::size_t j = 0; j < kDims; ++j) {
      const bool is_moved = drift > 0 && (j * 7 + static_cast<std::size_t>(drift) * 3) % kDims < 6;
      features.push_back(
          static_cast<float>((j == label ? 3.0 : 0.0) + random.Normal() + (is_moved ? size : 0.0)));
    }
  }
  return features;
}

ConceptSketch SketchOf(base::Random& random, int drift) {
  return ConceptSketch::Of(Draw(random, drift, 300), kDims, Metric::kEuclidean, 1).value();
}

std::shared_ptr<const Adaptation> AdaptationFor(int drift, std::vector<Label> labels = {}) {
  Adaptation adaptation;
  adaptation.bundle = "bundle";
  adaptation.event_id = "e-" + std::to_string(drift);
  adaptation.transform.scale.assign(kDims, 1.0f);
  adaptation.transform.shift.assign(kDims, -static_cast<float>(drift));
  adaptation.challenger.alignment = Alignment::kMean;
  adaptation.labels = std::move(labels);
  return std::make_shared<const Adaptation>(std::move(adaptation));
}

void Learn(ConceptCache& cache, base::Random& random, int drift) {
  cache.Learn("e-" + std::to_string(drift), SketchOf(random, drift), 1.0, AdaptationFor(drift));
}

// Two dozen samples are enough: of 200 second meetings (eight drifts known and the bundle's own) at
// least 95 % are taken for what they are, and none for another.
TEST(Concept, IsRecognisedByTwoDozenSamples) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  base::Random random(kSeed);
  ConceptCache cache("bundle");
  for (int drift = 1; drift <= 8; ++drift) Learn(cache, random, drift);
  const ConceptSketch own = SketchOf(random, 0);
  int right = 0, wrong = 0;
  for (int run = 0; run < 200; ++run) {
    const int drift = run % 9;
    const std::vector<float> features = Draw(random, drift, 24);
    const ConceptCache::Answer answer = cache.Recognise(&own, features, kDims);
    const bool is_right = drift == 0 ? answer.is_own
                                     : answer.found != nullptr &&
                                           answer.found->event_id == "e-" + std::to_string(drift);
    right += is_right ? 1 : 0;
    wrong += !is_right && (answer.is_own || answer.found != nullptr) ? 1 : 0;
    EXPECT_TRUE(!is_right || answer.recognition.sure >= 0.95);
  }
  EXPECT_GE(right, 190);
  EXPECT_EQ(wrong, 0);
}

TEST(Concept, WhatWasNeverThereIsNotRecognised) {
  constexpr std::uint64_t kSeed = 12;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  base::Random random(kSeed);
  ConceptCache cache("bundle");
  for (int drift = 1; drift <= 4; ++drift) Learn(cache, random, drift);
  const ConceptSketch own = SketchOf(random, 0);
  int taken = 0;
  for (int run = 0; run < 50; ++run) {
    // One that shares five of six axes with drift 1, and one that is known three times as strong.
    const bool is_near = run % 2 == 0;
    const std::vector<float> features = is_near ? Draw(random, 6, 24) : Draw(random, 2, 24, 6.0);
    const ConceptCache::Answer answer = cache.Recognise(&own, features, kDims);
    if (answer.found != nullptr || answer.is_own) {
      EXPECT_TRUE(is_near) << "run " << run;
      ++taken;
      continue;
    }
    EXPECT_EQ(answer.recognition.sure, 0.0);
    EXPECT_NE(answer.recognition.why.find("unlike anything known"), std::string::npos);
  }
  // The near one is taken for drift 1 now and then; then the shadow and probation have the word.
  EXPECT_LE(taken, 5);
}

// A stream of one class only is still the stream it was: its samples lie among the others.
TEST(Concept, IsRecognisedWhateverShareTheClassesHave) {
  base::Random random(13);
  ConceptCache cache("bundle");
  for (int drift = 1; drift <= 4; ++drift) Learn(cache, random, drift);
  std::vector<float> features;
  while (features.size() < 24 * kDims) {
    const std::vector<float> row = Draw(random, 3, 1);
    if (row[0] > 1.5f) features.insert(features.end(), row.begin(), row.end());
  }
  const ConceptCache::Answer answer = cache.Recognise(nullptr, features, kDims);
  ASSERT_NE(answer.found, nullptr) << answer.recognition.why;
  EXPECT_EQ(answer.found->event_id, "e-3");
}

TEST(Concept, AFewSamplesOrNoConceptSayNothing) {
  base::Random random(14);
  ConceptCache cache("bundle");
  EXPECT_EQ(cache.Recognise(nullptr, Draw(random, 1, 30), kDims).found, nullptr);
  Learn(cache, random, 1);
  const ConceptCache::Answer few = cache.Recognise(nullptr, Draw(random, 1, 23), kDims);
  EXPECT_EQ(few.found, nullptr);
  EXPECT_EQ(few.recognition.why, "23 samples are too few to recognise anything by");
  // Of another width, as after another projection: passed over.
  EXPECT_EQ(cache.Recognise(nullptr, Draw(random, 1, 60), kDims / 2).found, nullptr);
}

// Two that nobody could tell apart propose neither.
TEST(Concept, InDoubtNothingIsProposed) {
  base::Random random(15);
  const ConceptSketch one = SketchOf(random, 1);
  const ConceptSketch* const twice[] = {&one, &one};
  const Recognition recognition = Recognise(twice, Draw(random, 1, 30), kDims);
  EXPECT_FALSE(recognition.which.has_value());
  EXPECT_EQ(recognition.sure, 0.5);
}

TEST(Concept, TheBundlesOwnIsHeldAgainstItsCanary) {
  base::Random random(16);
  classify::Anchors anchors{.dims = kDims}, canary{.dims = kDims};
  const std::vector<float> seen = Draw(random, 0, 200), unseen = Draw(random, 0, 40);
  for (std::size_t i = 0; i < 200; ++i) anchors.Add(std::span(seen).subspan(i * kDims, kDims), 0);
  for (std::size_t i = 0; i < 40; ++i) canary.Add(std::span(unseen).subspan(i * kDims, kDims), 0);
  const ConceptSketch own = ConceptSketch::OfBundle(anchors, canary, Metric::kEuclidean, 1).value();
  EXPECT_EQ(own.size(), 96u);
  EXPECT_EQ(own.usual.size(), 40u);
  const ConceptCache cache("bundle");
  EXPECT_TRUE(cache.Recognise(&own, Draw(random, 0, 30), kDims).is_own);
  EXPECT_FALSE(cache.Recognise(&own, Draw(random, 2, 30), kDims).is_own);
}

TEST(Concept, WideFeaturesTakeFewerMembers) {
  base::Random random(17);
  constexpr std::size_t kWide = 2048;  // 256 KiB hold 32 of them.
  std::vector<float> features(100 * kWide);
  for (float& value : features) value = static_cast<float>(random.Normal());
  EXPECT_EQ(ConceptSketch::Of(features, kWide, Metric::kCosine, 1)->size(), 32u);
  features[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ConceptSketch::Of(features, kWide, Metric::kCosine, 1).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_FALSE(
      ConceptSketch::Of(std::span(features).first(19 * kWide), kWide, Metric::kCosine, 1).ok());
}

TEST(ConceptCache, KeepsEightAndDropsTheOneNotMetForLongest) {
  base::Random random(18);
  ConceptCache cache("bundle");
  for (int drift = 1; drift <= 8; ++drift) Learn(cache, random, drift);
  cache.Learn("e-1-again", SketchOf(random, 1), 1.0, AdaptationFor(1));
  Learn(cache, random, 9);
  ASSERT_EQ(cache.concepts().size(), ConceptCache::kConceptsMax);
  EXPECT_EQ(cache.concepts().front().event_id, "e-3");
  EXPECT_EQ(cache.concepts()[6].event_id, "e-1-again");
  EXPECT_EQ(cache.concepts()[6].met, 2u);
  EXPECT_EQ(cache.concepts().back().event_id, "e-9");
  for (const KnownConcept& known : cache.concepts()) EXPECT_NE(known.event_id, "e-2");
}

TEST(ConceptCache, AStreamMetAgainTakesThePlaceOfWhatWasKnownOfIt) {
  base::Random random(19);
  ConceptCache cache("bundle");
  Learn(cache, random, 1);
  Learn(cache, random, 2);
  cache.Learn("e-later", SketchOf(random, 1), 1.0, AdaptationFor(5));
  ASSERT_EQ(cache.concepts().size(), 2u);
  EXPECT_EQ(cache.concepts()[0].event_id, "e-2");
  EXPECT_EQ(cache.concepts()[1].event_id, "e-later");
  EXPECT_EQ(cache.concepts()[1].met, 2u);
  // Labels that came later for the same event: the same meeting.
  cache.Learn("e-later", SketchOf(random, 1), 1.0, AdaptationFor(6));
  EXPECT_EQ(cache.concepts()[1].met, 2u);
  EXPECT_EQ(*cache.concepts()[1].adaptation, *AdaptationFor(6));
}

TEST(ConceptCache, ForgetsWhatWasUndoneOrLearnedFromALabelTakenBack) {
  base::Random random(20);
  ConceptCache cache("bundle");
  Learn(cache, random, 1);
  cache.Learn("e-2", SketchOf(random, 2), 1.0, AdaptationFor(2, {{"s-7", 1, "f-1"}}));
  EXPECT_EQ(cache.ForgetLabel("s-8"), 0u);
  EXPECT_EQ(cache.ForgetLabel("s-7"), 1u);
  const std::string sha256 = cache.concepts()[0].adaptation_sha256;
  EXPECT_EQ(cache.ForgetAdaptation(sha256), 1u);
  EXPECT_TRUE(cache.concepts().empty());
}

TEST(ConceptCache, ReadsBackToTheByteAndAnswersTheSame) {
  base::Random random(21);
  ConceptCache cache("bundle");
  for (int drift = 1; drift <= 3; ++drift) Learn(cache, random, drift);
  Learn(cache, random, 2);  // Met again.
  const base::Bytes bytes = cache.Save();
  const ConceptCache read = ConceptCache::Parse("bundle", bytes).value();
  EXPECT_EQ(read.Save(), bytes);
  const std::vector<float> features = Draw(random, 2, 30);
  EXPECT_EQ(read.Recognise(nullptr, features, kDims).recognition.scores,
            cache.Recognise(nullptr, features, kDims).recognition.scores);
  EXPECT_EQ(ConceptCache::Parse("other", bytes).error().code, ErrorCode::kInvalidArgument);
}

TEST(ConceptCache, RefusesEveryFlippedBitAndEveryCut) {
  base::Random random(22);
  ConceptCache cache("bundle");
  Learn(cache, random, 1);
  const base::Bytes bytes = cache.Save();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    base::Bytes flipped = bytes;
    flipped[i] = static_cast<std::uint8_t>(flipped[i] ^ (1u << (i % 8)));
    EXPECT_FALSE(ConceptCache::Parse("bundle", flipped).ok()) << "byte " << i;
    if (i % 16 == 0) {
      EXPECT_FALSE(ConceptCache::Parse("bundle", base::ByteView(bytes).first(i)).ok()) << i;
    }
  }
}

}  // namespace
}  // namespace tinylcm::adapt
