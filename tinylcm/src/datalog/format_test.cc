// What every format of the log promises: what was written is read back, and a file cut anywhere
// gives what was whole before the cut and says how much was lost.

#include "tinylcm/datalog/format.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/text.h"

namespace tinylcm::datalog {
namespace {

const BundleLabels kLabels{.generation = 0, .bundle = "b0", .labels = {"cat", "the \"big\", dog"}};

Record RecordAt(std::uint64_t index) {
  Record record;
  record.index = index;
  record.adaptation = index / 3;
  record.time = base::Time{base::Duration{1'795'176'000'123 + static_cast<std::int64_t>(index)}};
  if (index % 2 == 0) record.frame_number = static_cast<std::uint32_t>(7 * index);
  record.label = static_cast<std::uint16_t>(index % 3);  // 2 is beyond the labels.
  record.signal = static_cast<drift::DriftSignal>(index % 4);
  record.confidence = 1.0f / static_cast<float>(index + 3);
  record.distance = 0.1f * static_cast<float>(index);
  record.total_us = 1234.5678f;
  record.decode_us = 0.0f;
  record.model_us = 1e9f;
  record.classify_us = 17.25f;
  return record;
}

std::string NameOf(const Record& record) {
  return record.label < kLabels.labels.size() ? kLabels.labels[record.label] : "unknown";
}

Entry EntryOf(Record record) {
  Entry entry{.record = record, .label = NameOf(record)};
  entry.record.bundle = 0;
  entry.record.label = 0;
  return entry;
}

class EveryFormat : public testing::TestWithParam<Format> {
 protected:
  // `ends[i]`: where the i-th record ends.
  std::string Write(std::size_t count, std::vector<std::size_t>* ends = nullptr) {
    const auto encoder = MakeEncoder(GetParam());
    std::string file;
    encoder->Begin(file);
    encoder->AddBundle(kLabels, file);
    for (std::size_t i = 0; i < count; ++i) {
      const Record record = RecordAt(i);
      encoder->Append(record, NameOf(record), file);
      if (ends != nullptr) ends->push_back(file.size());
    }
    return file;
  }

  ReadReport Read(std::string_view file) {
    entries_.clear();
    return ReadLog(GetParam(), base::AsBytes(file), [&](const Entry& e) { entries_.push_back(e); })
        .value();
  }

  std::vector<Entry> entries_;
};

TEST_P(EveryFormat, WhatWasWrittenIsReadBackToTheBit) {
  const ReadReport report = Read(Write(8));
  EXPECT_EQ(report.Describe(), "");
  ASSERT_EQ(entries_.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(entries_[i], EntryOf(RecordAt(i))) << i;
}

TEST_P(EveryFormat, CutAtAnyByteGivesWhatWasWholeAndSaysWhatWasLost) {
  std::vector<std::size_t> ends;
  const std::string file = Write(4, &ends);
  for (std::size_t cut = 0; cut < file.size(); ++cut) {
    const ReadReport report = Read(std::string_view(file).substr(0, cut));
    std::size_t whole = 0;
    while (whole < ends.size() && ends[whole] <= cut) ++whole;
    ASSERT_EQ(entries_.size(), whole) << "cut at " << cut;
    for (std::size_t i = 0; i < whole; ++i) ASSERT_EQ(entries_[i], EntryOf(RecordAt(i)));
    EXPECT_FALSE(report.is_corrupt()) << "cut at " << cut << ": " << report.Describe();
    if (whole > 0) {
      EXPECT_EQ(report.lost_bytes(), cut - ends[whole - 1]);
    }
  }
}

TEST_P(EveryFormat, WhatIsOverwrittenInTheMiddleCostsOnlyWhatItTouches) {
  std::vector<std::size_t> ends;
  std::string file = Write(6, &ends);
  for (std::size_t at = ends[2] - 20; at < ends[2] - 10; ++at) file[at] = '\x01';
  const ReadReport report = Read(file);
  EXPECT_TRUE(report.is_corrupt());
  EXPECT_EQ(report.Describe(),
            base::StrCat(ends[2] - ends[1], " bytes from ", ends[1], " on are corrupt"));
  ASSERT_EQ(entries_.size(), 5u);
  EXPECT_EQ(entries_[1].record.index, 1u);
  EXPECT_EQ(entries_[2].record.index, 3u);
}

TEST_P(EveryFormat, ANumberThatIsNoneIsNotInvented) {
  Record record = RecordAt(0);
  record.confidence = std::nanf("");
  const auto encoder = MakeEncoder(GetParam());
  std::string file;
  encoder->Begin(file);
  encoder->Append(record, "cat", file);
  EXPECT_EQ(Read(file).entries, 1u);
  ASSERT_EQ(entries_.size(), 1u);
  EXPECT_TRUE(std::isnan(entries_[0].record.confidence));
}

TEST_P(EveryFormat, AnEmptyFileIsAnEmptyLog) {
  const ReadReport report = Read("");
  EXPECT_EQ(report.entries, 0u);
  EXPECT_EQ(report.Describe(), "");
}

INSTANTIATE_TEST_SUITE_P(, EveryFormat,
                         testing::Values(Format::kJsonl, Format::kCsv, Format::kBinary),
                         [](const auto& format) { return std::string(Name(format.param)); });

TEST(JsonlLog, ALineIsWhatItsReadersExpect) {
  std::string line;
  MakeEncoder(Format::kJsonl)->Append(RecordAt(4), "the \"big\", dog", line);
  EXPECT_EQ(line,
            "{\"at\":\"2026-11-20T12:00:00.127Z\",\"index\":4,\"frame\":28,"
            "\"prediction\":\"the \\\"big\\\", dog\",\"confidence\":0.14285715,\"distance\":0.4,"
            "\"adaptation\":1,\"signal\":\"steady\",\"us\":[1234.5677,0,1e+09,17.25]}\n");
}

TEST(BinaryLog, AnotherVersionIsRefusedByItsNumber) {
  const std::string file("TLCMLOG\x02", 8);
  const auto read = ReadLog(Format::kBinary, base::AsBytes(file), [](const Entry&) {});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().message, "datalog: version 2, this reader knows 1");
}

TEST(BinaryLog, EachRecordIsNamedByTheBundleThatAnsweredIt) {
  const auto encoder = MakeEncoder(Format::kBinary);
  std::string file;
  encoder->Begin(file);
  encoder->AddBundle({.generation = 0, .bundle = "old", .labels = {"cat"}}, file);
  encoder->AddBundle({.generation = 1, .bundle = "new", .labels = {"dog"}}, file);
  Record record;
  encoder->Append(record, "", file);
  record.bundle = 1;
  encoder->Append(record, "", file);
  std::vector<std::string> names;
  ASSERT_TRUE(ReadLog(Format::kBinary, base::AsBytes(file), [&](const Entry& entry) {
                names.push_back(entry.label);
              }).ok());
  EXPECT_EQ(names, (std::vector<std::string>{"cat", "dog"}));
}

}  // namespace
}  // namespace tinylcm::datalog
