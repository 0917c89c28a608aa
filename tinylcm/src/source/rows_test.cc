#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tinylcm/source/framer.h"

namespace tinylcm::source {
namespace {

struct Outcome {
  std::vector<Frame> frames;
  std::vector<std::string> errors;
};

Outcome Read(Framer& framer, std::string_view text, std::size_t piece = 1'000'000) {
  Outcome outcome;
  const auto collect = [&] {
    while (auto next = framer.Next()) {
      if (next->ok()) {
        outcome.frames.push_back(next->value());
      } else {
        outcome.errors.push_back(next->error().message);
      }
    }
  };
  for (std::size_t i = 0; i < text.size(); i += piece) {
    framer.Take(base::AsBytes(text.substr(i, piece)));
    collect();
  }
  framer.End();
  collect();
  return outcome;
}

Outcome ReadCsv(std::string_view text, RowOptions options = {}, std::size_t piece = 1'000'000) {
  options.name = "rows.csv";
  CsvFramer framer(options);
  return Read(framer, text, piece);
}

using Row = std::vector<float>;

TEST(CsvFramer, TakesEveryColumnButNumberAndLabelAsAChannel) {
  const Outcome outcome =
      ReadCsv("seq,ch0,ch1,label\n7,1.5,-2,3\n8,0,1e-3,\"a, b\"\n", {.label_column = "label"});
  ASSERT_EQ(outcome.frames.size(), 2u);
  EXPECT_EQ(outcome.frames[0].row, (Row{1.5f, -2.0f}));
  EXPECT_EQ(outcome.frames[0].frame_number, 7u);
  EXPECT_EQ(outcome.frames[0].label, "3");
  EXPECT_EQ(outcome.frames[1].label, "a, b");
  EXPECT_TRUE(outcome.errors.empty());
}

TEST(CsvFramer, GivesTheSameRowsHoweverTheStreamIsTorn) {
  const std::string text = "a,b\r\n1,2\r\n\r\n3,4";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    const Outcome outcome = ReadCsv(text, {}, piece);
    ASSERT_EQ(outcome.frames.size(), 2u) << piece;
    EXPECT_EQ(outcome.frames[0].row, (Row{1, 2}));
    EXPECT_EQ(outcome.frames[1].row, (Row{3, 4}));  // Without a line's end at the end.
  }
}

TEST(CsvFramer, TakesTheAskedColumnsInTheAskedOrder) {
  const Outcome outcome = ReadCsv("a,b,c\n1,2,3\n", {.columns = {"c", "a"}});
  ASSERT_EQ(outcome.frames.size(), 1u);
  EXPECT_EQ(outcome.frames[0].row, (Row{3, 1}));
}

TEST(CsvFramer, ABadRowNamesFileLineAndFieldAndTheNextRowIsRead) {
  const struct {
    std::string row;
    std::string error;
  } cases[] = {
      {"nan,2", "rows.csv:3: a: \"nan\" is not a finite number"},
      {"NaN,2", "rows.csv:3: a: \"NaN\" is not a finite number"},
      {"1,inf", "rows.csv:3: b: \"inf\" is not a finite number"},
      {"1,-Infinity", "rows.csv:3: b: \"-Infinity\" is not a finite number"},
      {"1,1e300", "rows.csv:3: b: \"1e300\" is not a finite number"},
      {"1,", "rows.csv:3: b: empty"},
      {"1,2x", "rows.csv:3: b: \"2x\" is not a finite number"},
      {"1,2,3", "rows.csv:3: 3 fields, expected 2"},
      {"1", "rows.csv:3: 1 fields, expected 2"},
      {"1,\"2", "rows.csv:3: a quote is not closed"},
  };
  for (const auto& bad : cases) {
    const Outcome outcome = ReadCsv("a,b\n1,2\n" + bad.row + "\n3,4\n");
    EXPECT_EQ(outcome.errors, std::vector<std::string>{bad.error});
    ASSERT_EQ(outcome.frames.size(), 2u) << bad.row;
    EXPECT_EQ(outcome.frames[1].row, (Row{3, 4}));
  }
}

TEST(CsvFramer, ABadHeaderIsAnErrorForEveryRow) {
  EXPECT_EQ(ReadCsv("a,b\n1,2\n", {.columns = {"z"}}).errors,
            (std::vector<std::string>(2, "rows.csv:1: z: header: no such column")));
  EXPECT_EQ(ReadCsv("a,b\n1,2\n", {.label_column = "y"}).errors[0],
            "rows.csv:1: y: header: no such column");
  EXPECT_EQ(ReadCsv("a,a\n").errors[0], "rows.csv:1: a: header: the column is there twice");
  EXPECT_EQ(ReadCsv("a,b\n", {.channels = 3}).errors[0],
            "rows.csv:1: header: 2 channels, expected 3");
}

TEST(CsvFramer, AFileWithoutAHeaderOrARowIsOneError) {
  EXPECT_EQ(ReadCsv("").errors, std::vector<std::string>{"rows.csv: is empty"});
  EXPECT_EQ(ReadCsv("\n\n").errors, std::vector<std::string>{"rows.csv: is empty"});
  EXPECT_EQ(ReadCsv("a,b").errors, std::vector<std::string>{"rows.csv:1: a header and no row"});
  EXPECT_EQ(ReadCsv("a,b\n").errors, std::vector<std::string>{"rows.csv:1: a header and no row"});
  EXPECT_EQ(ReadCsv("a,,b\n").errors,
            std::vector<std::string>{"rows.csv:1: header: column 2 has no name"});
}

TEST(CsvFramer, GivesBackWhatQuotesHide) {
  const Outcome outcome = ReadCsv("\"a\",\"b,c\",label\n\"1\",2,\"say \"\"so\"\"\"\n",
                                  {.columns = {"b,c", "a"}, .label_column = "label"});
  ASSERT_EQ(outcome.frames.size(), 1u);
  EXPECT_EQ(outcome.frames[0].row, (Row{2, 1}));
  EXPECT_EQ(outcome.frames[0].label, "say \"so\"");
}

TEST(CsvFramer, AFrameGivenBackLeavesNothingInTheNext) {
  CsvFramer framer({.name = "rows.csv", .label_column = "label"});
  framer.Take(base::AsBytes("seq,a,label\n7,1,x\n"));
  Frame frame = framer.Next()->value();
  framer.Recycle(std::move(frame));
  framer.Take(base::AsBytes("8,2,\n"));
  frame = framer.Next()->value();
  EXPECT_EQ(frame.row, Row{2});
  EXPECT_EQ(frame.label, "");
  EXPECT_EQ(frame.frame_number, 8u);
}

TEST(CsvFramer, AnEndlessLineIsAnErrorAndTheNextRowIsRead) {
  const std::string text = "a\n1\n" + std::string(300, '7') + "\n2\n";
  for (std::size_t piece : {std::size_t{1}, std::size_t{50}, text.size()}) {
    const Outcome outcome = ReadCsv(text, {.line_bytes_max = 100}, piece);
    EXPECT_EQ(outcome.errors,
              std::vector<std::string>{"rows.csv:3: line is longer than 100 bytes"});
    ASSERT_EQ(outcome.frames.size(), 2u) << piece;
    EXPECT_EQ(outcome.frames[1].row, Row{2});
  }
}

TEST(CsvFramer, ReadsANewHeaderWhenTheCommandWasStartedAgain) {
  CsvFramer framer({.name = "rows.csv"});
  Read(framer, "seq,a,b\n1,2,3\n4,");
  framer.Restart();
  const Outcome outcome = Read(framer, "seq,a,b\n5,6,7\n");
  ASSERT_EQ(outcome.frames.size(), 1u);
  EXPECT_EQ(outcome.frames[0].frame_number, 5u);
  EXPECT_TRUE(outcome.errors.empty());
}

TEST(JsonlFramer, ReadsObjectsAndBareArrays) {
  JsonlFramer framer({.name = "rows.jsonl"});
  const Outcome outcome = Read(framer, "{\"row\":[1,2.5],\"seq\":9,\"label\":\"x\"}\n[3,4]\n", 5);
  ASSERT_EQ(outcome.frames.size(), 2u);
  EXPECT_EQ(outcome.frames[0].row, (Row{1, 2.5f}));
  EXPECT_EQ(outcome.frames[0].frame_number, 9u);
  EXPECT_EQ(outcome.frames[0].label, "x");
  EXPECT_EQ(outcome.frames[1].row, (Row{3, 4}));
}

TEST(JsonlFramer, AFileWithoutARowIsOneError) {
  for (const std::string text : {"", "\n \n"}) {
    JsonlFramer framer({.name = "rows.jsonl"});
    EXPECT_EQ(Read(framer, text).errors, std::vector<std::string>{"rows.jsonl: is empty"});
  }
}

TEST(JsonlFramer, ABadRowNamesFileLineAndField) {
  JsonlFramer framer({.name = "rows.jsonl", .channels = 2});
  const Outcome outcome = Read(framer,
                               "[1,2,3]\n[1,null]\n[1,1e300]\n{\"seq\":1}\n[1,NaN]\n"
                               "{\"row\":[1,2],\"seq\":-1}\n[1,\"2\"]\n[5,6]\n");
  ASSERT_EQ(outcome.errors.size(), 7u);
  EXPECT_EQ(outcome.errors[6], "rows.jsonl:7: row[1]: not a finite number");
  EXPECT_EQ(outcome.errors[0], "rows.jsonl:1: row: 3 numbers, expected 2");
  EXPECT_EQ(outcome.errors[1], "rows.jsonl:2: row[1]: not a finite number");
  EXPECT_EQ(outcome.errors[2], "rows.jsonl:3: row[1]: not a finite number");
  EXPECT_EQ(outcome.errors[3], "rows.jsonl:4: row: missing or no array");
  EXPECT_EQ(outcome.errors[4].rfind("rows.jsonl:5: ", 0), 0u) << outcome.errors[4];
  EXPECT_EQ(outcome.errors[5], "rows.jsonl:6: seq: not a count");
  ASSERT_EQ(outcome.frames.size(), 1u);
}

}  // namespace
}  // namespace tinylcm::source
