#include "tinylcm/model/slots.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/fake_file_system.h"
#include "tinylcm/src/model/small_bundle_test.h"

namespace tinylcm::model {
namespace {

using base::ErrorCode;

class SlotsTest : public FolderTest {
 protected:
  SlotsTest() {
    first_ = FitInto("first", "1.0.0");
    second_ = FitInto("second", "2.0.0");
    third_ = FitInto("third", "3.0.0");
  }

  Slots Open() {
    auto slots = Slots::Open(fs_, Path("slots"));
    EXPECT_TRUE(slots.ok()) << slots.error().message;
    return std::move(slots).value();
  }
  void Install(Slots& slots, const std::string& name) {
    const auto installed = slots.InstallFolder(Path(name), {});
    ASSERT_TRUE(installed.ok()) << installed.error().message;
    ASSERT_TRUE(slots.Activate(*installed).ok());
  }

  std::string first_;
  std::string second_;
  std::string third_;
};

TEST_F(SlotsTest, TheFirstBundleIsGoldenAndTheOneBeforeIsPrevious) {
  {
    Slots slots = Open();
    EXPECT_EQ(slots.BeginStart().error().code, ErrorCode::kNotFound);
    Install(slots, "first");
    Install(slots, "second");
    Install(slots, "third");
  }
  const Slots slots = Open();  // After a restart.
  EXPECT_EQ(slots.state(),
            (Slots::State{.current = third_, .previous = second_, .golden = first_}));
}

TEST_F(SlotsTest, ThreeFailedStartsLeadToPreviousAndThreeMoreToGolden) {
  Slots slots = Open();
  Install(slots, "first");
  Install(slots, "second");
  Install(slots, "third");
  std::vector<std::string> started;
  for (int start = 0; start < 10; ++start) {
    Slots again = Open();
    started.push_back(again.BeginStart().value());
  }
  EXPECT_EQ(started, (std::vector<std::string>{third_, third_, third_, second_, second_, second_,
                                               first_, first_, first_, first_}));
}

TEST_F(SlotsTest, AHealthyStartForgetsFailedOnes) {
  Slots slots = Open();
  Install(slots, "first");
  Install(slots, "second");
  for (int start = 0; start < 10; ++start) {
    Slots again = Open();
    EXPECT_EQ(again.BeginStart().value(), second_);
    ASSERT_TRUE(again.StartedHealthy().ok());
  }
}

TEST_F(SlotsTest, RollbackExchangesCurrentAndPrevious) {
  Slots slots = Open();
  Install(slots, "first");
  EXPECT_EQ(slots.Rollback().error().code, ErrorCode::kNotFound);
  Install(slots, "second");
  EXPECT_EQ(slots.Rollback().value(), first_);
  EXPECT_EQ(slots.Rollback().value(), second_);
}

TEST_F(SlotsTest, AnInstalledArchiveIsNotRunBeforeItIsActivated) {
  const auto key = base::Ed25519Key::FromSeed(base::Bytes(32, 1)).value();
  const auto made = MakeArchive(fs_, Path("second"), &key, Path("second.tar.zst"));
  ASSERT_TRUE(made.ok());
  Slots slots = Open();
  Install(slots, "first");
  EXPECT_EQ(slots.Install(Path("second.tar.zst"), &key.public_key(), {}, std::string(64, '0'))
                .error()
                .code,
            ErrorCode::kCorrupt);
  EXPECT_FALSE(slots.Has(second_));
  const auto installed =
      slots.Install(Path("second.tar.zst"), &key.public_key(), {}, made->archive_sha256);
  ASSERT_TRUE(installed.ok()) << installed.error().message;
  EXPECT_TRUE(slots.Has(second_));
  EXPECT_EQ(slots.state().current, first_);
  // A second time changes nothing.
  EXPECT_TRUE(slots.Install(Path("second.tar.zst"), &key.public_key(), {}, std::nullopt).ok());
  EXPECT_FALSE(base::Exists(fs_, Path("slots/unpacking")));
}

TEST_F(SlotsTest, ADamagedInstalledBundleIsReplacedByTheNextInstallation) {
  Slots slots = Open();
  Install(slots, "first");
  Write("slots/" + first_ + "/config.json", base::AsBytes("{}"));
  ASSERT_FALSE(LoadBundle(fs_, slots.FolderOf(first_), {}).ok());
  ASSERT_TRUE(slots.InstallFolder(Path("first"), {}).ok());
  EXPECT_TRUE(LoadBundle(fs_, slots.FolderOf(first_), {}).ok());
}

TEST_F(SlotsTest, ABundleThatIsNotInstalledCannotBeActivated) {
  Slots slots = Open();
  EXPECT_EQ(slots.Activate(first_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(slots.Activate("../first").error().code, ErrorCode::kNotFound);
}

TEST_F(SlotsTest, APowerCutAtAnyPointLeavesOneWholeCurrentBundle) {
  for (int operation = 0;; ++operation) {
    tests::FakeFileSystem disk;
    for (const std::string name : {"first", "second"}) {
      const std::vector<base::FileInfo> files = fs_.List(Path(name)).value();
      for (const base::FileInfo& file : files) {
        disk.Write("/" + name + "/" + file.name, Read(name + "/" + file.name));
      }
    }
    {
      auto slots = Slots::Open(disk, "/slots");
      ASSERT_TRUE(slots.ok());
      ASSERT_TRUE(slots->InstallFolder("/first", {}).ok());
      ASSERT_TRUE(slots->Activate(first_).ok());
    }
    disk.PowerOffAt(operation);
    bool was_told_so = false;
    {
      auto slots = Slots::Open(disk, "/slots");
      was_told_so = slots.ok() && slots->InstallFolder("/second", {}).ok() &&
                    slots->Activate(second_).ok() && slots->CollectGarbage().ok();
    }
    const bool was_cut = disk.power_is_off();
    disk.Crash(static_cast<std::uint64_t>(operation));

    auto slots = Slots::Open(disk, "/slots");
    ASSERT_TRUE(slots.ok()) << operation << ": " << slots.error().message;
    const std::string& current = slots->state().current;
    EXPECT_TRUE(current == second_ || (current == first_ && !was_told_so)) << operation;
    const auto bundle = LoadBundle(disk, slots->FolderOf(current), {});
    EXPECT_TRUE(bundle.ok()) << operation << ": " << bundle.error().message;
    EXPECT_FALSE(base::Exists(disk, "/slots/unpacking")) << operation;
    // And what was begun can be done again.
    ASSERT_TRUE(slots->InstallFolder("/second", {}).ok()) << operation;
    ASSERT_TRUE(slots->Activate(second_).ok()) << operation;
    EXPECT_TRUE(LoadBundle(disk, slots->FolderOf(second_), {}).ok()) << operation;
    if (!was_cut) {
      EXPECT_GT(operation, 20);  // The loop did cut into something.
      break;
    }
  }
}

TEST_F(SlotsTest, GarbageIsWhatNoSlotNames) {
  Slots slots = Open();
  Install(slots, "first");
  Install(slots, "second");
  Install(slots, "third");
  ASSERT_TRUE(slots.Rollback().ok());  // current second, previous third, golden first
  ASSERT_TRUE(slots.Activate(first_).ok());
  ASSERT_TRUE(slots.CollectGarbage().ok());
  EXPECT_TRUE(slots.Has(first_));
  EXPECT_TRUE(slots.Has(second_));
  EXPECT_FALSE(slots.Has(third_));
}

}  // namespace
}  // namespace tinylcm::model
