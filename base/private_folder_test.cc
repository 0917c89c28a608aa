#include "base/private_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/crypto.h"
#include "base/folder_lock.h"

namespace base {
namespace {

unsigned ModeOf(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(stat(path.c_str(), &status), 0);
  return status.st_mode & 07777u;
}

class DataFolder : public testing::Test {
 protected:
  DataFolder() : path_(testing::TempDir() + "data_" + RandomHex(6)), mask_(umask(022)) {}
  ~DataFolder() override {
    umask(mask_);
    std::filesystem::remove_all(path_);
  }
  std::string path_;

 private:
  mode_t mask_;
};

TEST_F(DataFolder, IsForItsOwnerOnly) {
  ASSERT_TRUE(MakePrivateFolder(path_).ok());
  EXPECT_EQ(ModeOf(path_), 0700u);
  std::ofstream(path_ + "/database") << "x";
  EXPECT_EQ(ModeOf(path_ + "/database"), 0600u);
}

TEST_F(DataFolder, ThatWasOpenIsClosed) {
  std::filesystem::create_directory(path_);
  ASSERT_EQ(ModeOf(path_), 0755u);
  ASSERT_TRUE(MakePrivateFolder(path_).ok());
  EXPECT_EQ(ModeOf(path_), 0700u);
}

TEST_F(DataFolder, ThatEverybodyWritesToIsLeftAsItIs) {
  std::filesystem::create_directory(path_);
  ASSERT_EQ(chmod(path_.c_str(), 01777), 0);
  ASSERT_TRUE(MakePrivateFolder(path_).ok());
  EXPECT_EQ(ModeOf(path_), 01777u);
}

TEST_F(DataFolder, IsOneProcessesAtATime) {
  ASSERT_TRUE(MakePrivateFolder(path_).ok());
  {
    const auto first = FolderLock::Take(path_, "server");
    ASSERT_TRUE(first.ok());
    const auto second = FolderLock::Take(path_, "server");
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().message, path_ + ": another server runs on this folder");
  }
  EXPECT_TRUE(FolderLock::Take(path_, "server").ok());
}

}  // namespace
}  // namespace base
