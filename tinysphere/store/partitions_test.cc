// On PostgreSQL, rows of a month lie in its part; on SQLite the same calls change nothing else.

#include "tinysphere/store/partitions.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/databases.h"
#include "tests/support/fake_clock.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::store {
namespace {

base::Time At(const char* text) { return base::ParseTime(text).value(); }

class Partitions : public testing::TestWithParam<tests::DatabaseKind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    if (!place_) GTEST_SKIP() << GetParam().why_not;
    database_ = place_->Open().value();
    ASSERT_TRUE(Migrate(*database_, Migrations(), tests::FakeClock::kStart).ok());
  }
  void AddPoint(base::Time at) {
    const auto added = database_->Execute(
        "INSERT INTO metrics_points (device_id, at, document) VALUES ('d-1', $1, '{}')", {at});
    ASSERT_TRUE(added.ok()) << added.error().message;
  }
  // "" where the table has no parts.
  std::string PartOf(base::Time at) {
    if (database_->dialect() != Dialect::kPostgres) return "";
    return database_
        ->QueryOne(
            "SELECT CAST(tableoid::regclass AS TEXT) AS part FROM metrics_points "
            "WHERE at = $1",
            {at})
        .value()
        ->Text("part");
  }
  std::string Part(const char* name) {
    return database_->dialect() == Dialect::kPostgres ? name : "";
  }
  std::int64_t Points() {
    return database_->QueryOne("SELECT COUNT(*) AS n FROM metrics_points").value()->Int("n");
  }

  std::unique_ptr<tests::DatabasePlace> place_;
  std::unique_ptr<Database> database_;
};

TEST_P(Partitions, HoldTheirMonthAndTheRestHoldsWhatNoMonthWasMadeFor) {
  ASSERT_TRUE(
      EnsurePartitions(*database_, At("2026-11-15T00:00:00.000Z"), At("2027-01-01T00:00:00.000Z"))
          .ok());
  const base::Time last_of_november = At("2026-11-30T23:59:59.999Z");
  const base::Time first_of_december = At("2026-12-01T00:00:00.000Z");
  const base::Time new_year = At("2027-01-01T00:00:00.000Z");
  const base::Time wrong_clock = At("1970-01-01T00:00:07.000Z");
  for (const base::Time at : {last_of_november, first_of_december, new_year, wrong_clock}) {
    AddPoint(at);
  }
  EXPECT_EQ(PartOf(last_of_november), Part("metrics_points_2026_11"));
  EXPECT_EQ(PartOf(first_of_december), Part("metrics_points_2026_12"));
  EXPECT_EQ(PartOf(new_year), Part("metrics_points_2027_01"));
  EXPECT_EQ(PartOf(wrong_clock), Part("metrics_points_rest"));
  // Again, and over a month of which something lies in the rest: it moves, and nothing is lost.
  ASSERT_TRUE(
      EnsurePartitions(*database_, At("1970-01-01T00:00:00.000Z"), At("1970-02-01T00:00:00.000Z"))
          .ok());
  ASSERT_TRUE(EnsurePartitions(*database_, At("2026-12-15T00:00:00.000Z")).ok());
  EXPECT_EQ(PartOf(wrong_clock), Part("metrics_points_1970_01"));
  EXPECT_EQ(Points(), 4);
  AddPoint(At("1970-01-02T00:00:00.000Z"));
  EXPECT_EQ(PartOf(At("1970-01-02T00:00:00.000Z")), Part("metrics_points_1970_01"));
}

TEST_P(Partitions, GoWithWhatIsForgotten) {
  ASSERT_TRUE(EnsurePartitions(*database_, At("2026-11-20T00:00:00.000Z")).ok());
  for (const char* at : {"1970-01-01T00:00:07.000Z", "2026-10-20T00:00:00.000Z",
                         "2026-11-01T00:00:00.000Z", "2026-11-19T00:00:00.000Z"}) {
    AddPoint(At(at));
  }
  ASSERT_TRUE(ForgetMetricsBefore(*database_, At("2026-11-10T00:00:00.000Z")).ok());
  EXPECT_EQ(Points(), 1);
  if (database_->dialect() == Dialect::kPostgres) {
    EXPECT_FALSE(database_->Query("SELECT 1 AS n FROM metrics_points_2026_10").ok());
  }
}

TEST_P(Partitions, TellTheSamePackageTwiceByItsName) {
  ASSERT_TRUE(EnsurePartitions(*database_, At("2026-11-20T00:00:00.000Z")).ok());
  const auto add = [&](const char* at) {
    return database_->Execute(
        "INSERT INTO package_names (package_id, device_id, sha256, received_at) "
        "VALUES ('d-1/e/1', 'd-1', 'abc', $1)",
        {At(at)});
  };
  ASSERT_TRUE(add("2026-11-20T00:00:00.000Z").ok());
  const auto again = add("2026-12-20T00:00:00.000Z");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, base::ErrorCode::kConflict);
}

INSTANTIATE_TEST_SUITE_P(All, Partitions, testing::ValuesIn(tests::DatabaseKinds()),
                         [](const auto& parameter) { return parameter.param.name; });

// What an installation of before had received is counted, and known by its name.
TEST(Migration5, CountsThePackagesThatAreThere) {
  const auto place = tests::DatabaseKinds().front().make();
  const auto database = place->Open().value();
  ASSERT_TRUE(Migrate(*database, Migrations().first(4), tests::FakeClock::kStart).ok());
  for (const int seq : {7, 3, 5}) {
    ASSERT_TRUE(database
                    ->Execute("INSERT INTO packages (device_id, epoch, seq, package_id, type, "
                              "bytes, sha256, object_key, received_at, state, duplicates) VALUES "
                              "('d', 'e', $1, $2, 'metrics', 10, 'abc', 'k', $3, 'stored', 1)",
                              {seq, base::StrCat("d/e/", seq), 1000 + seq})
                    .ok());
  }
  ASSERT_TRUE(Migrate(*database, Migrations(), tests::FakeClock::kStart).ok());
  const Row counts = database->QueryOne("SELECT * FROM package_counts").value().value();
  EXPECT_EQ(counts.Int("packages"), 3);
  EXPECT_EQ(counts.Int("bytes"), 30);
  EXPECT_EQ(counts.Int("seq_min"), 3);
  EXPECT_EQ(counts.Int("seq_max"), 7);
  EXPECT_EQ(counts.Int("duplicates"), 3);
  EXPECT_EQ(counts.Int("last_at"), 1007);
  EXPECT_EQ(database->QueryOne("SELECT COUNT(*) AS n FROM package_names").value()->Int("n"), 3);
}

}  // namespace
}  // namespace tinysphere::store
