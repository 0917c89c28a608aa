// The log's three formats: what a record looks like in a file, and how it is read back.
//
//   jsonl    a line of JSON each: any tool reads it; some 200 bytes
//   csv      a header, then a line each: spreadsheets; some 110 bytes
//   binary   length, CRC, plain numbers: small and checked; 71 bytes
//
// Numbers are written with as many digits as read back to the same bits, so the three say exactly
// the same. A line without its line feed, or a binary entry that does not end, is torn: readers
// pass it over and say how many bytes were lost. docs/formats/datalog.md.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/datalog/record.h"

namespace tinylcm::datalog {

enum class Format { kJsonl, kCsv, kBinary };

const char* Name(Format format);  // "jsonl", "csv", "binary"
base::Result<Format> ParseFormat(std::string_view name);
const char* Ending(Format format);  // ".jsonl", ".csv", ".tlog"

// A record as it is read: the label by its name, which outlives any index.
struct Entry {
  Record record;  // `bundle` and `label` are 0.
  std::string label;
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What a bundle calls its classes.
struct BundleLabels {
  std::uint32_t generation = 0;  // Record::bundle.
  std::string bundle;            // The bundle's identity.
  std::vector<std::string> labels;
};

// Not thread-safe. Appends to a text that it never looks at.
class Encoder {
 public:
  virtual ~Encoder() = default;
  // What a file begins with.
  virtual void Begin(std::string& out) = 0;
  // Where names lie beside the records: the names of records to come.
  virtual void AddBundle(const BundleLabels& bundle, std::string& out) = 0;
  // `label`: its name.
  virtual void Append(const Record& record, std::string_view label, std::string& out) = 0;
};

std::unique_ptr<Encoder> MakeEncoder(Format format);

// What could not be read of a file.
struct Damage {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool is_tail = false;  // Torn: nothing whole follows. What a kill or a power cut leaves.
};

struct ReadReport {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::vector<Damage> damaged;  // In order; at most one is a tail.

  std::uint64_t lost_bytes() const;
  bool is_corrupt() const;  // More than a torn tail.
  // "17 bytes at the end are torn"; "41 bytes from 4096 on are corrupt (and 2 more places)"; empty.
  std::string Describe() const;
};

using OnEntry = std::function<void(const Entry& entry)>;

// Reads all that is whole, in order. kUnsupported for a binary file of another version.
base::Result<ReadReport> ReadLog(Format format, base::ByteView file, const OnEntry& on_entry);

}  // namespace tinylcm::datalog
