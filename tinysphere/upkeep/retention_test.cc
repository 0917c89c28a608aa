#include "tinysphere/upkeep/retention.h"

#include "tinysphere/access/audit.h"
#include "tinysphere/upkeep/stand_test.h"

namespace tinysphere::upkeep {
namespace {

using base::ErrorCode;
using std::chrono::hours;

constexpr base::Duration kDays30 = hours(30 * 24);

class RetentionTest : public UpkeepTest {
 protected:
  // What Run says of one bucket.
  Swept Run(const std::string& bucket, bool is_dry = false) {
    const auto all = retention_.Run(is_dry);
    EXPECT_TRUE(all.ok()) << (all.ok() ? "" : all.error().message);
    for (const Swept& swept : all.value()) {
      if (swept.bucket == bucket) return swept;
    }
    ADD_FAILURE() << "nothing was said of " << bucket;
    return {};
  }
  void Keep(const std::string& bucket, base::Duration age) {
    const base::Status set = retention_.Set(bucket, age, "admin");
    ASSERT_TRUE(set.ok()) << set.error().message;
  }

  Retention retention_{*database_, *objects_, clock_};
};

TEST_F(RetentionTest, KeepsEverythingUntilSomebodySaysOtherwise) {
  const std::string key = AddPackage("d-1", 1, "processed", hours(24 * 365 * 10));
  EXPECT_TRUE(retention_.Run(/*is_dry=*/false).value().empty());
  EXPECT_TRUE(objects_->Exists(key).value());
}

TEST_F(RetentionTest, RemovesOldArchivesAndTheirPackagesSaySo) {
  const std::string old = AddPackage("d-1", 1, "processed", kDays30 + hours(1), "0123456789");
  const std::string failed = AddPackage("d-2", 1, "failed", kDays30 + hours(1), "01234");
  const std::string young = AddPackage("d-1", 2, "processed", kDays30 - hours(1));
  Keep("packages", kDays30);
  const Swept swept = Run("packages");
  EXPECT_EQ(swept.objects, 2u);
  EXPECT_EQ(swept.bytes, 15u);
  EXPECT_FALSE(objects_->Exists(old).value());
  EXPECT_FALSE(objects_->Exists(failed).value());
  EXPECT_TRUE(objects_->Exists(young).value());
  EXPECT_EQ(StateOf("d-1", 1), "expired");
  EXPECT_EQ(StateOf("d-2", 1), "expired");
  EXPECT_EQ(StateOf("d-1", 2), "processed");
  EXPECT_EQ(Run("packages").objects, 0u);
}

TEST_F(RetentionTest, LeavesAPackageThatWaitsToBeUnpacked) {
  const std::string key = AddPackage("d-1", 1, "stored", kDays30 * 2);
  Keep("packages", kDays30);
  const Swept swept = Run("packages");
  EXPECT_EQ(swept.objects, 0u);
  EXPECT_EQ(swept.waiting, 1u);
  EXPECT_TRUE(objects_->Exists(key).value());
  EXPECT_EQ(StateOf("d-1", 1), "stored");
}

TEST_F(RetentionTest, OnlyCountsWhenItIsDry) {
  const std::string key = AddPackage("d-1", 1, "processed", kDays30 * 2, "0123456789");
  Keep("packages", kDays30);
  const Swept swept = Run("packages", /*is_dry=*/true);
  EXPECT_EQ(swept.objects, 1u);
  EXPECT_EQ(swept.bytes, 10u);
  EXPECT_TRUE(objects_->Exists(key).value());
  EXPECT_EQ(StateOf("d-1", 1), "processed");
}

TEST_F(RetentionTest, FinishesWhatAnInterruptedRunBegan) {
  const std::string key = AddPackage("d-1", 1, "processed", kDays30 * 2);
  const std::string other = AddPackage("d-1", 2, "processed", kDays30 * 2);
  Keep("packages", kDays30);
  disk_.SetFault([](tests::FakeFileSystem::Operation operation,
                    const std::string& path) -> std::optional<base::Error> {
    if (operation != tests::FakeFileSystem::Operation::kRemove || !path.ends_with("/2-0123")) {
      return std::nullopt;
    }
    return base::Error{ErrorCode::kUnavailable, "the disk is away"};
  });
  EXPECT_FALSE(retention_.Run(false).ok());
  EXPECT_FALSE(objects_->Exists(key).value());
  EXPECT_TRUE(objects_->Exists(other).value());
  disk_.SetFault(nullptr);
  EXPECT_EQ(Run("packages").objects, 1u);
  EXPECT_FALSE(objects_->Exists(other).value());
  EXPECT_EQ(StateOf("d-1", 1), "expired");
  EXPECT_EQ(StateOf("d-1", 2), "expired");
}

TEST_F(RetentionTest, SaysOfASampleThatItsPictureExpired) {
  Execute(
      "INSERT INTO drift_samples (device_id, sample_id, event_id, sample_index, prediction, "
      "confidence, reason, neighbours, media, object_key) "
      "VALUES ('d-1', 's:1', 'v', 1, 'a', 0.5, '', '[]', 'image', 'drift-samples/d-1/s=1.jpg')");
  Put("drift-samples/d-1/s=1.jpg", "jpeg", kDays30 * 2);
  Keep("drift-samples", kDays30);
  EXPECT_EQ(Run("drift-samples").objects, 1u);
  const auto row = database_->QueryOne("SELECT media, object_key FROM drift_samples").value();
  EXPECT_EQ(row->Text("media"), "expired");
  EXPECT_EQ(row->Text("object_key"), "");
}

TEST_F(RetentionTest, SaysOfASampleThatItsFeatureVectorWent) {
  Execute(
      "INSERT INTO drift_samples (device_id, sample_id, event_id, sample_index, prediction, "
      "confidence, reason, neighbours, media, feature) VALUES "
      "('d-1', 's:1', 'v', 1, 'a', 0.5, '', '[]', 'row', 'drift-features/d-1/v.safetensors#0'), "
      "('d-1', 's:2', 'w', 1, 'a', 0.5, '', '[]', 'row', 'drift-features/d-1/w.safetensors#0')");
  Put("drift-features/d-1/v.safetensors", "x", kDays30 * 2);
  Put("drift-features/d-1/w.safetensors", "x", hours(1));
  Keep("drift-features", kDays30);
  EXPECT_EQ(Run("drift-features").objects, 1u);
  const auto rows =
      database_->Query("SELECT sample_id FROM drift_samples WHERE feature <> ''").value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].Text("sample_id"), "s:2");
}

TEST_F(RetentionTest, ForgetsLogPartsAndPicturesWithTheirObjects) {
  Execute(
      "INSERT INTO logs_index (device_id, boot, seq, package_id, lines, bytes, received_at, "
      "object_key) VALUES ('d-1', 'b', 1, 'p', 1, 4, 0, 'data-logs/d-1/b/1.jsonl'), "
      "('d-1', 'b', 2, 'p', 1, 4, 0, 'data-logs/d-1/b/2.jsonl')");
  Put("data-logs/d-1/b/1.jsonl", "line", kDays30 * 2);
  Put("data-logs/d-1/b/2.jsonl", "line", hours(1));
  Keep("data-logs", kDays30);
  EXPECT_EQ(Run("data-logs").objects, 1u);
  const auto rows = database_->Query("SELECT seq FROM logs_index").value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].Int("seq"), 2);
}

TEST_F(RetentionTest, NeverTouchesWhatPeopleSaid) {
  Put("drift-samples/verdicts/f-1.jsonl", "{}", kDays30 * 100);
  Keep("drift-samples", kDays30);
  EXPECT_EQ(Run("drift-samples").objects, 0u);
  EXPECT_TRUE(objects_->Exists("drift-samples/verdicts/f-1.jsonl").value());
}

TEST_F(RetentionTest, SweepsMoreThanAPage) {
  disk_.SetTime(clock_.Now() - kDays30 * 2);
  for (int i = 0; i < 1205; ++i) {
    ASSERT_TRUE(objects_->PutBytes(base::StrCat("drift-features/d-1/", i), {}).ok());
  }
  Keep("drift-features", kDays30);
  EXPECT_EQ(Run("drift-features").objects, 1205u);
  EXPECT_TRUE(objects_->List("drift-features/", "", 10).value().empty());
}

TEST_F(RetentionTest, RefusesWhatMustStay) {
  for (const char* bucket : {"bundles", "adaptations", "nowhere"}) {
    const base::Status set = retention_.Set(bucket, kDays30, "admin");
    ASSERT_FALSE(set.ok()) << bucket;
    EXPECT_EQ(set.error().code, ErrorCode::kInvalidArgument) << bucket;
  }
  EXPECT_FALSE(retention_.Set("packages", std::chrono::minutes(59), "admin").ok());
}

TEST_F(RetentionTest, TellsWhatIsKeptAndWhoSaidSo) {
  Keep("packages", kDays30);
  const std::vector<Kept> before = retention_.Read().value();
  for (const Kept& kept : before) {
    EXPECT_EQ(kept.age, kept.bucket == "packages" ? std::optional(kDays30) : std::nullopt);
  }
  ASSERT_TRUE(retention_.Set("packages", std::nullopt, "admin").ok());
  const std::vector<Kept> after = retention_.Read().value();
  for (const Kept& kept : after) EXPECT_FALSE(kept.age.has_value()) << kept.bucket;
  const auto audit = access::ReadAudit(*database_, 10).value();
  ASSERT_EQ(audit.size(), 2u);
  EXPECT_EQ(audit[0].action, "retention.set");
  EXPECT_EQ(audit[0].who, "admin");
}

TEST_F(RetentionTest, SweepsOnceADay) {
  Keep("packages", kDays30);
  const auto run = [&] { return retention_.RunDaily([] { return false; }).value().has_value(); };
  EXPECT_TRUE(run());
  EXPECT_FALSE(run());
  clock_.Advance(hours(23));
  EXPECT_FALSE(run());
  clock_.Advance(hours(1));
  EXPECT_TRUE(run());
}

TEST_F(RetentionTest, StopsWhenItIsTold) {
  const std::string key = AddPackage("d-1", 1, "processed", kDays30 * 2);
  Keep("packages", kDays30);
  ASSERT_TRUE(retention_.Run(false, [] { return true; }).ok());
  EXPECT_TRUE(objects_->Exists(key).value());
}

}  // namespace
}  // namespace tinysphere::upkeep
