#include "tinylcm/pipeline/keeping.h"

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"

namespace tinylcm::pipeline {
namespace {

using tests::FakeFileSystem;
using Operation = FakeFileSystem::Operation;

class SilentLogger final : public base::Logger {
 public:
  void Write(base::LogLevel, std::string_view message) override { said += message; }
  std::string said;
};

class KeepingTest : public testing::Test {
 protected:
  Keeping Open(FakeFileSystem& fs) { return Keeping::Open(fs, logger_, "d").value(); }

  static LifecycleRecord Record(std::uint64_t revision, const std::string& file) {
    LifecycleRecord record;
    record.revision = revision;
    record.adapters = {{"bundle", file}};
    return record;
  }
  // Serves `state` on trial as revision 2, with the way back to "champion" as revision 3.
  static base::Status Try(Keeping& keeping, std::string_view state) {
    ASSIGN_OR_RETURN(const std::string file, keeping.KeepAdapter(base::AsBytes(state)));
    RETURN_IF_ERROR(keeping.Write(Record(2, file)));
    return keeping.PrepareWayBack(Record(3, file), base::AsBytes("champion"));
  }
  // What a restart would serve: revision and state.
  std::pair<std::uint64_t, std::string> Serves(FakeFileSystem& fs) {
    const Keeping keeping = Open(fs);
    if (!keeping.record()) return {0, ""};
    const LifecycleRecord record = ParseLifecycleRecord(base::AsText(*keeping.record())).value();
    const auto state = keeping.ReadAdapter(record.adapters.at(0).file);
    EXPECT_TRUE(state.ok()) << record.adapters.at(0).file;
    return {record.revision, state.ok() ? std::string(base::AsText(*state)) : ""};
  }
  static int AdapterFiles(FakeFileSystem& fs) {
    int count = 0;
    const std::vector<base::FileInfo> files = fs.List("d").value();
    for (const base::FileInfo& file : files) count += file.name.starts_with("adapter-") ? 1 : 0;
    return count;
  }
  SilentLogger logger_;
};

using Served = std::pair<std::uint64_t, std::string>;

TEST_F(KeepingTest, GoingBackIsOneRename) {
  FakeFileSystem fs;
  Keeping keeping = Open(fs);
  ASSERT_TRUE(Try(keeping, "challenger").ok());
  EXPECT_EQ(AdapterFiles(fs), 2);
  EXPECT_EQ(Serves(fs), (Served{2, "challenger"}));
  std::vector<Operation> done;
  fs.SetFault([&](Operation operation, const std::string&) {
    done.push_back(operation);
    return std::nullopt;
  });
  ASSERT_TRUE(keeping.TurnBack().ok());
  EXPECT_EQ(done, (std::vector{Operation::kRename, Operation::kSyncDirectory}));
  fs.Crash();
  EXPECT_EQ(Serves(fs), (Served{3, "champion"}));
  // The next page is written as always, and throws away what was tried.
  const std::string file = keeping.KeepAdapter(base::AsBytes("champion")).value();
  ASSERT_TRUE(keeping.Write(Record(3, file)).ok());
  EXPECT_EQ(AdapterFiles(fs), 1);
  EXPECT_EQ(Serves(fs), (Served{3, "champion"}));
}

TEST_F(KeepingTest, WhatWasCommittedHasNoWayBack) {
  FakeFileSystem fs;
  Keeping keeping = Open(fs);
  ASSERT_TRUE(Try(keeping, "challenger").ok());
  keeping.DropWayBack();
  const std::string file = keeping.KeepAdapter(base::AsBytes("challenger")).value();
  ASSERT_TRUE(keeping.Write(Record(2, file)).ok());
  EXPECT_EQ(AdapterFiles(fs), 1);
  EXPECT_EQ(keeping.TurnBack().error().code, base::ErrorCode::kNotFound);
}

TEST_F(KeepingTest, ThePowerMayGoAtEveryOperation) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    bool reached = true;
    for (int n = 0; reached; ++n) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", power off at " << n);
      FakeFileSystem fs;
      Served last{0, ""};  // The last that was acknowledged, and the one under way.
      Served next = last;
      {
        Keeping keeping = Open(fs);
        const std::string file = keeping.KeepAdapter(base::AsBytes("champion")).value();
        ASSERT_TRUE(keeping.Write(Record(1, file)).ok());
        last = {1, "champion"};
        fs.PowerOffAt(fs.operations() + n);
        const auto step = [&](const Served& to, const base::Status& status) {
          next = to;
          if (status.ok()) last = to;
          return status.ok();
        };
        const auto again = [&]() -> base::Status {
          ASSIGN_OR_RETURN(const std::string kept, keeping.KeepAdapter(base::AsBytes("champion")));
          return keeping.Write(Record(3, kept));
        };
        // The trial may be written down and its way back not.
        const bool went_on = step({2, "challenger"}, Try(keeping, "challenger")) &&
                             step({3, "champion"}, keeping.TurnBack()) &&
                             step({3, "champion"}, again());
        reached = fs.power_is_off();
        EXPECT_TRUE(went_on || reached);  // What fails last only throws away.
      }
      fs.Crash(seed);
      const Served now = Serves(fs);
      EXPECT_TRUE(now == last || now == next) << now.first << " " << now.second;
    }
  }
  EXPECT_EQ(logger_.said, "");
}

}  // namespace
}  // namespace tinylcm::pipeline
