#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tinylcm/evaluation/detection.h"

namespace {

using tinylcm::evaluation::At;
using tinylcm::evaluation::Change;
using tinylcm::evaluation::Compare;
using tinylcm::evaluation::ReadAlarms;
using tinylcm::evaluation::ReadChanges;

using Indices = std::vector<std::uint64_t>;

TEST(ReadAlarms, TakesANumberALine) {
  EXPECT_EQ(ReadAlarms("12\n\n# a remark\n 15 \r\n").value(), (Indices{12, 15}));
  EXPECT_EQ(ReadAlarms("").value(), Indices{});
}

TEST(ReadAlarms, TakesWhatDetectAndEventsSayAndPassesOverWarnings) {
  EXPECT_EQ(ReadAlarms("{\"index\":7,\"kind\":\"warning\",\"statistic\":3.5}\n"
                       "{\"index\":9,\"kind\":\"drift\",\"statistic\":5.5}\n"
                       "{\"sample_index\":20,\"kind\":\"abrupt\"}\n"
                       "{\"row\":30}\n")
                .value(),
            (Indices{9, 20, 30}));
}

TEST(ReadAlarms, NamesTheLineThatIsNoAlarm) {
  const auto message = [](const char* text) { return ReadAlarms(text).error().message; };
  EXPECT_EQ(message("1\n2.5\n"), "line 2: \"2.5\" is no index (0 is the first sample)");
  EXPECT_EQ(message("-1\n"), "line 1: \"-1\" is no index (0 is the first sample)");
  EXPECT_EQ(message("1\n\n{\"at\":5}\n"),
            "line 3: neither \"index\", \"sample_index\" nor \"row\"");
  EXPECT_EQ(message("{\"index\":\"5\"}\n"), "line 1: index: \"5\" is no index");
  EXPECT_EQ(message("{\"index\":5\n").rfind("line 1: ", 0), 0u);
}

TEST(ReadChanges, TakesPointsAndStretches) {
  for (const char* text : {"1000, 2000-2500", "1000\n2000 - 2500\n", "# two\n1000\n2000-2500"}) {
    SCOPED_TRACE(text);
    const std::vector<Change> changes = ReadChanges(text).value();
    ASSERT_EQ(changes.size(), 2u);
    EXPECT_EQ(changes[0].first, 1000u);
    EXPECT_EQ(changes[0].last, 1000u);
    EXPECT_EQ(changes[1].first, 2000u);
    EXPECT_EQ(changes[1].last, 2500u);
  }
  EXPECT_TRUE(ReadChanges("").value().empty());
}

TEST(ReadChanges, NamesTheLineThatIsNone) {
  EXPECT_EQ(ReadChanges("1000\n20x0\n").error().message,
            "line 2: \"20x0\" is no index (0 is the first sample)");
  EXPECT_EQ(ReadChanges("-5").error().message,
            "line 1: \"-5\" is no index (0 is the first sample)");
  EXPECT_EQ(ReadChanges("1000,,2000").error().message,
            "line 1: \"\" is no index (0 is the first sample)");
}

TEST(Table, ShowsTheDummiesAndLeavesOpenWhatIsUndefined) {
  const tinylcm::evaluation::Rules rules = {.horizon = 100};
  const auto judged = Compare(Indices{510}, std::vector<Change>{At(500)}, 1000, rules).value();
  const std::string table = Table(judged, rules);
  EXPECT_NE(table.find("detector"), std::string::npos) << table;
  EXPECT_NE(table.find("every_1000"), std::string::npos) << table;
  EXPECT_NE(table.find("delay, a miss charged 100"), std::string::npos) << table;
  EXPECT_NE(table.find("over "), std::string::npos) << table;  // No false alarm.
  EXPECT_NE(table.find("-"), std::string::npos) << table;      // Never: no precision.
  EXPECT_TRUE(ToJson(judged[1].detection).Find("precision")->is_null());
  EXPECT_EQ(ToJson(judged[0].detection).Find("charged_delay")->as_double(), 10.0);
}

}  // namespace
