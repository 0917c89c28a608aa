// A small bundle of rows for the tests: three classes, three channels, well apart.

#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <utility>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/model/fit.h"

namespace tinylcm::model {

// Class c lies around 3 on channel c and 0 on the others.
inline std::string SmallRows(std::uint64_t seed, int per_class = 40) {
  base::Random random(seed);
  std::string text = "seq,a,b,c,label\n";
  for (int i = 0; i < 3 * per_class; ++i) {
    text += base::StrCat(i);
    for (int channel = 0; channel < 3; ++channel) {
      text += base::StrCat(",", (i % 3 == channel ? 3.0 : 0.0) + 0.3 * random.Normal());
    }
    text += base::StrCat(",class-", i % 3, "\n");
  }
  return text;
}

// A folder of its own on the disk, removed at the end.
class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    char name[] = "/tmp/model_test_XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~FolderTest() override { EXPECT_TRUE(base::RemoveTree(fs_, folder_).ok()); }

  std::string Path(const std::string& name) { return base::JoinPath(folder_, name); }
  void Write(const std::string& name, base::ByteView bytes) {
    ASSERT_TRUE(base::WriteFileDurably(fs_, Path(name), bytes).ok());
  }
  base::Bytes Read(const std::string& name) {
    auto bytes = base::ReadFile(fs_, Path(name), 1u << 30);
    EXPECT_TRUE(bytes.ok()) << name;
    return bytes.ok() ? std::move(bytes).value() : base::Bytes();
  }
  // Fits a bundle into the folder `name`; returns its identity.
  std::string FitInto(const std::string& name, const std::string& version = "1.0.0",
                      std::uint64_t seed = 1) {
    Write("rows.csv", base::AsBytes(SmallRows(seed)));
    RunFitOptions options;
    options.rows = Path("rows.csv");
    options.label_column = "label";
    options.out = Path(name);
    options.name = "small";
    options.version = version;
    options.fit.standardise = true;
    options.fit.anchors_per_class = 10;
    options.fit.seed = seed;
    const auto report = RunFit(options, fs_, base::SystemClock(), base::NullLogger(), {});
    EXPECT_TRUE(report.ok()) << report.error().message;
    return report.ok() ? report->bundle : "";
  }

  base::FileSystem& fs_ = base::SystemFileSystem();
  std::string folder_;
};

}  // namespace tinylcm::model
