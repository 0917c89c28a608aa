// Any record, any label: every format reads back what was written, through the files of a log too.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>

#include "tests/support/fake_file_system.h"
#include "tinylcm/datalog/datalog.h"

namespace tinylcm::datalog {
namespace {

// Of UTF-8 labels: plain, quoted, with separators and line feeds of every format, empty.
const std::vector<std::string> kLabels = {"cat",      "",   "a,b",       "\"",         "line\nfeed",
                                          "\r\n,\"x", "\\", "\x01tab\t", "na\u00efve", " "};

float AnyFloat() {
  const float value = std::bit_cast<float>(*rc::gen::arbitrary<std::uint32_t>());
  return std::isfinite(value) ? value : 0.0f;
}

Record AnyRecord() {
  Record record;
  record.index = *rc::gen::inRange<std::uint64_t>(0, INT64_MAX);
  record.adaptation = *rc::gen::inRange<std::uint64_t>(0, 1000);
  // 1970 to 9999: a clock may stand anywhere.
  record.time = base::Time{base::Duration{*rc::gen::inRange<std::int64_t>(0, 253'402'300'799'999)}};
  if (*rc::gen::arbitrary<bool>()) record.frame_number = *rc::gen::arbitrary<std::uint32_t>();
  record.bundle = *rc::gen::inRange(0, 2);
  record.label = static_cast<std::uint16_t>(*rc::gen::inRange(0, 12));
  record.signal = static_cast<drift::DriftSignal>(*rc::gen::inRange(0, 4));
  record.confidence = AnyFloat();
  record.distance = AnyFloat();
  record.total_us = AnyFloat();
  record.decode_us = AnyFloat();
  record.model_us = AnyFloat();
  record.classify_us = AnyFloat();
  return record;
}

std::string NameOf(const Record& record) {
  // The second bundle names them the other way round.
  const std::size_t count = kLabels.size();
  if (record.label >= count) return "unknown";
  return kLabels[record.bundle == 0 ? record.label : count - 1 - record.label];
}

Entry EntryOf(Record record) {
  Entry entry{.record = record, .label = NameOf(record)};
  entry.record.bundle = 0;
  entry.record.label = 0;
  return entry;
}

class EveryFormat : public testing::TestWithParam<Format> {};

TEST_P(EveryFormat, AnyRecordsAreReadBackFromTheFilesOfALogThatLostItsPower) {
  const bool held = rc::check(Name(GetParam()), [&] {
    const std::vector<Record> records =
        *rc::gen::container<std::vector<Record>>(rc::gen::exec([] { return AnyRecord(); }));
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    tests::FakeFileSystem fs;
    auto log = Datalog::Open(fs, "/log", {.format = GetParam(), .file_bytes_max = 300}).value();
    log.SetBundle({.generation = 0, .bundle = "b0", .labels = kLabels});
    bool has_second = false;
    for (const Record& record : records) {
      if (record.bundle == 1 && !has_second) {
        log.SetBundle(
            {.generation = 1, .bundle = "b1", .labels = {kLabels.rbegin(), kLabels.rend()}});
        has_second = true;
      }
      RC_ASSERT(log.Append(record));
      RC_ASSERT(log.Flush().ok());
    }
    // Half of the runs end well, half with a power cut that keeps any beginning of the last file.
    const bool is_cut = *rc::gen::arbitrary<bool>();
    if (is_cut) {
      fs.SyncDirectory("/log").ok();
      fs.Crash(seed);
    } else {
      RC_ASSERT(log.Close().ok());
    }

    std::vector<Entry> read;
    std::size_t torn = 0;
    const auto files = ListLog(fs, "/log").value();
    for (const LogFile& file : files) {
      const auto bytes = base::ReadFile(fs, file.path, 1u << 24).value();
      const auto report =
          ReadLog(*file.format, bytes, [&](const Entry& entry) { read.push_back(entry); });
      RC_ASSERT(report.ok());
      RC_ASSERT(!report->is_corrupt());
      torn += report->damaged.size();
    }
    RC_ASSERT(is_cut || (torn == 0 && read.size() == records.size()));
    RC_ASSERT(read.size() <= records.size());
    for (std::size_t i = 0; i < read.size(); ++i) RC_ASSERT(read[i] == EntryOf(records[i]));
  });
  EXPECT_TRUE(held);
}

TEST_P(EveryFormat, ReadsAnyBytesWithoutInventingMoreThanTheyCouldHold) {
  EXPECT_TRUE(rc::check(Name(GetParam()), [&] {
    const auto bytes = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
    const auto report = ReadLog(GetParam(), bytes, [](const Entry&) {});
    if (report.ok()) RC_ASSERT(report->lost_bytes() <= bytes.size());
  }));
}

INSTANTIATE_TEST_SUITE_P(, EveryFormat,
                         testing::Values(Format::kJsonl, Format::kCsv, Format::kBinary),
                         [](const auto& format) { return std::string(Name(format.param)); });

}  // namespace
}  // namespace tinylcm::datalog
