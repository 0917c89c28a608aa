#include "tinylcm/datalog/format.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::datalog {

using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::StrCat;
using drift::DriftSignal;

namespace {

constexpr std::array<DriftSignal, 4> kSignals = {DriftSignal::kSteady, DriftSignal::kLearning,
                                                 DriftSignal::kWarning, DriftSignal::kDrift};

bool ParseSignal(std::string_view name, DriftSignal& signal) {
  for (const DriftSignal known : kSignals) {
    if (name != drift::Name(known)) continue;
    signal = known;
    return true;
  }
  return false;
}

template <typename T>
void Put(std::string& out, T value) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

// Shortest digits that read back to the same bits; what is not finite has none.
void PutFloat(std::string& out, float value, std::string_view none) {
  if (std::isfinite(value)) {
    Put(out, value);
  } else {
    out += none;
  }
}

// Most records of a second share all but the last three digits.
class TimeWriter {
 public:
  void Put(std::string& out, base::Time time) {
    const auto second = std::chrono::floor<std::chrono::seconds>(time);
    if (text_.empty() || second != second_) {
      second_ = second;
      text_ = base::FormatTime(time);
      text_.resize(text_.find('.') + 1);
    }
    const auto ms = static_cast<unsigned>((time - second).count());
    out += text_;
    out += static_cast<char>('0' + ms / 100);
    out += static_cast<char>('0' + ms / 10 % 10);
    out += static_cast<char>('0' + ms % 10);
    out += 'Z';
  }

 private:
  std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds> second_{};
  std::string text_;
};

std::array<float, 4> Durations(const Record& record) {
  return {record.total_us, record.decode_us, record.model_us, record.classify_us};
}

void SetDurations(Record& record, const std::array<float, 4>& us) {
  record.total_us = us[0];
  record.decode_us = us[1];
  record.model_us = us[2];
  record.classify_us = us[3];
}

// Joins places that touch, so that a torn line with a line feed in its label is one thing lost.
void AddDamage(ReadReport& report, std::uint64_t offset, std::uint64_t bytes) {
  if (!report.damaged.empty()) {
    Damage& last = report.damaged.back();
    if (last.offset + last.bytes == offset) {
      last.bytes += bytes;
      return;
    }
  }
  report.damaged.push_back({.offset = offset, .bytes = bytes});
}

void NameTail(ReadReport& report) {
  if (report.damaged.empty()) return;
  Damage& last = report.damaged.back();
  last.is_tail = last.offset + last.bytes == report.bytes;
}

// ---- jsonl --------------------------------------------------------------------------------------

class JsonlEncoder final : public Encoder {
 public:
  void Begin(std::string&) override {}
  void AddBundle(const BundleLabels&, std::string&) override {}

  void Append(const Record& record, std::string_view label, std::string& out) override {
    out += "{\"at\":\"";
    time_.Put(out, record.time);
    out += "\",\"index\":";
    Put(out, record.index);
    out += ",\"frame\":";
    if (record.frame_number) {
      Put(out, *record.frame_number);
    } else {
      out += "null";
    }
    out += ",\"prediction\":";
    PutText(label, out);
    out += ",\"confidence\":";
    PutFloat(out, record.confidence, "null");
    out += ",\"distance\":";
    PutFloat(out, record.distance, "null");
    out += ",\"adaptation\":";
    Put(out, record.adaptation);
    out += ",\"signal\":\"";
    out += drift::Name(record.signal);
    out += "\",\"us\":[";
    for (const float us : Durations(record)) {
      PutFloat(out, us, "null");
      out += ',';
    }
    out.back() = ']';
    out += "}\n";
  }

 private:
  static void PutText(std::string_view text, std::string& out) {
    for (const char c : text) {
      if (c != '"' && c != '\\' && static_cast<unsigned char>(c) >= 0x20) continue;
      out += Json(text).Write();
      return;
    }
    out += '"';
    out += text;
    out += '"';
  }

  TimeWriter time_;
};

bool FloatOf(const Json& json, float& value) {
  if (json.is_null()) {
    value = std::numeric_limits<float>::quiet_NaN();
    return true;
  }
  if (!json.is_number()) return false;
  value = static_cast<float>(json.as_double());
  return true;
}

// False for anything but a line as JsonlEncoder writes it (fields it does not know are passed
// over).
bool ParseJsonLine(std::string_view line, Entry& entry) {
  const auto json = Json::Parse(line);
  if (!json.ok() || !json->is_object()) return false;
  base::JsonReader reader(*json, "line");
  Record& record = entry.record;
  const auto at = base::ParseTime(reader.String("at"));
  record.index = static_cast<std::uint64_t>(reader.Int("index", {.min = 0}));
  const auto frame = reader.OptionalInt("frame", {.min = 0, .max = UINT32_MAX});
  if (frame) record.frame_number = static_cast<std::uint32_t>(*frame);
  entry.label = reader.String("prediction", {.bytes_max = 1u << 16});
  record.adaptation = static_cast<std::uint64_t>(reader.Int("adaptation", {.min = 0}));
  const std::string signal = reader.String("signal");
  if (!reader.status().ok() || !at.ok() || !ParseSignal(signal, record.signal)) return false;
  record.time = *at;
  const Json* confidence = json->Find("confidence");
  const Json* distance = json->Find("distance");
  const Json* us = json->Find("us");
  if (confidence == nullptr || !FloatOf(*confidence, record.confidence)) return false;
  if (distance == nullptr || !FloatOf(*distance, record.distance)) return false;
  std::array<float, 4> durations{};
  if (us == nullptr || !us->is_array() || us->as_array().size() != durations.size()) return false;
  for (std::size_t i = 0; i < durations.size(); ++i) {
    if (!FloatOf(us->as_array()[i], durations[i])) return false;
  }
  SetDurations(record, durations);
  return true;
}

ReadReport ReadJsonl(std::string_view text, const OnEntry& on_entry) {
  ReadReport report;
  report.bytes = text.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::size_t next = end == std::string_view::npos ? text.size() : end + 1;
    Entry entry;
    if (end != std::string_view::npos && ParseJsonLine(text.substr(at, end - at), entry)) {
      ++report.entries;
      on_entry(entry);
    } else {
      AddDamage(report, at, next - at);
    }
    at = next;
  }
  NameTail(report);
  return report;
}

// ---- csv ----------------------------------------------------------------------------------------

constexpr std::string_view kCsvHeader =
    "at,index,frame,prediction,confidence,distance,adaptation,signal,"
    "total_us,decode_us,model_us,classify_us\n";
constexpr std::size_t kCsvFields = 12;

class CsvEncoder final : public Encoder {
 public:
  void Begin(std::string& out) override { out += kCsvHeader; }
  void AddBundle(const BundleLabels&, std::string&) override {}

  void Append(const Record& record, std::string_view label, std::string& out) override {
    time_.Put(out, record.time);
    out += ',';
    Put(out, record.index);
    out += ',';
    if (record.frame_number) Put(out, *record.frame_number);
    out += ',';
    PutText(label, out);
    out += ',';
    PutFloat(out, record.confidence, "");
    out += ',';
    PutFloat(out, record.distance, "");
    out += ',';
    Put(out, record.adaptation);
    out += ',';
    out += drift::Name(record.signal);
    for (const float us : Durations(record)) {
      out += ',';
      PutFloat(out, us, "");
    }
    out += '\n';
  }

 private:
  // RFC 4180.
  static void PutText(std::string_view text, std::string& out) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
      out += text;
      return;
    }
    out += '"';
    for (const char c : text) {
      if (c == '"') out += '"';
      out += c;
    }
    out += '"';
  }

  TimeWriter time_;
};

// The fields of the line that begins at `at`, and where the next begins; 0 where no line of twelve
// fields does.
std::size_t TakeCsvLine(std::string_view text, std::size_t at,
                        std::array<std::string, kCsvFields>& fields) {
  for (std::size_t field = 0;; ++at) {
    if (field == kCsvFields || at >= text.size()) return 0;
    std::string& value = fields[field];
    value.clear();
    if (text[at] == '"') {
      for (++at;; ++at) {
        if (at >= text.size()) return 0;
        if (text[at] == '"') {
          ++at;
          if (at >= text.size() || text[at] != '"') break;
        }
        value += text[at];
      }
    } else {
      const std::size_t end = text.find_first_of(",\n", at);
      if (end == std::string_view::npos) return 0;
      value.assign(text.substr(at, end - at));
      at = end;
    }
    if (at >= text.size()) return 0;
    ++field;
    if (text[at] == '\n') return field == kCsvFields ? at + 1 : 0;
    if (text[at] != ',') return 0;
  }
}

template <typename T>
bool ParseNumber(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseOptionalFloat(std::string_view text, float& value) {
  if (text.empty()) {
    value = std::numeric_limits<float>::quiet_NaN();
    return true;
  }
  return ParseNumber(text, value) && std::isfinite(value);
}

bool ParseCsvFields(const std::array<std::string, kCsvFields>& fields, Entry& entry) {
  Record& record = entry.record;
  const auto at = base::ParseTime(fields[0]);
  if (!at.ok()) return false;
  record.time = *at;
  if (!fields[2].empty() && !ParseNumber(fields[2], record.frame_number.emplace())) return false;
  entry.label = fields[3];
  std::array<float, 4> us{};
  for (std::size_t i = 0; i < us.size(); ++i) {
    if (!ParseOptionalFloat(fields[8 + i], us[i])) return false;
  }
  SetDurations(record, us);
  return ParseNumber(fields[1], record.index) && ParseOptionalFloat(fields[4], record.confidence) &&
         ParseOptionalFloat(fields[5], record.distance) &&
         ParseNumber(fields[6], record.adaptation) && ParseSignal(fields[7], record.signal);
}

ReadReport ReadCsv(std::string_view text, const OnEntry& on_entry) {
  ReadReport report;
  report.bytes = text.size();
  std::size_t at = text.starts_with(kCsvHeader) ? kCsvHeader.size() : 0;
  std::array<std::string, kCsvFields> fields;
  while (at < text.size()) {
    Entry entry;
    const std::size_t next = TakeCsvLine(text, at, fields);
    if (next != 0 && ParseCsvFields(fields, entry)) {
      ++report.entries;
      on_entry(entry);
      at = next;
      continue;
    }
    const std::size_t end = text.find('\n', at);
    const std::size_t after = end == std::string_view::npos ? text.size() : end + 1;
    AddDamage(report, at, after - at);
    at = after;
  }
  NameTail(report);
  return report;
}

// ---- binary -------------------------------------------------------------------------------------

constexpr std::string_view kMagic = "TLCMLOG";
constexpr char kVersion = 1;
constexpr std::uint16_t kMark = 0x4c54;              // "TL": an entry begins.
constexpr std::size_t kEntryHeader = 2 + 1 + 4 + 4;  // Mark, type, length, CRC.
constexpr std::uint32_t kEntryBytesMax = 1u << 24;   // Longer ones are corrupt.
enum EntryType : std::uint8_t { kBundleEntry = 1, kRecordEntry = 2 };

void Little(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255u);
}

void PutBinaryText(std::string& out, std::string_view text) {
  Little(out, text.size(), 4);
  out += text;
}

std::uint32_t EntryCrc(std::uint8_t type, std::uint32_t length, ByteView payload) {
  const std::array<std::uint8_t, 5> head = {
      type, static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(length >> 8),
      static_cast<std::uint8_t>(length >> 16), static_cast<std::uint8_t>(length >> 24)};
  return base::Crc32c(payload, base::Crc32c(head));
}

class BinaryEncoder final : public Encoder {
 public:
  void Begin(std::string& out) override {
    out += kMagic;
    out += kVersion;
  }

  void AddBundle(const BundleLabels& bundle, std::string& out) override {
    payload_.clear();
    Little(payload_, bundle.generation, 4);
    PutBinaryText(payload_, bundle.bundle);
    Little(payload_, bundle.labels.size(), 4);
    for (const std::string& label : bundle.labels) PutBinaryText(payload_, label);
    PutEntry(kBundleEntry, out);
  }

  void Append(const Record& record, std::string_view, std::string& out) override {
    payload_.clear();
    Little(payload_, record.index, 8);
    Little(payload_, static_cast<std::uint64_t>(record.time.time_since_epoch().count()), 8);
    Little(payload_, record.adaptation, 8);
    Little(payload_, record.bundle, 4);
    Little(payload_, record.label, 2);
    payload_ += static_cast<char>(record.signal);
    payload_ += static_cast<char>(record.frame_number.has_value() ? 1 : 0);
    Little(payload_, record.frame_number.value_or(0), 4);
    Little(payload_, std::bit_cast<std::uint32_t>(record.confidence), 4);
    Little(payload_, std::bit_cast<std::uint32_t>(record.distance), 4);
    for (const float us : Durations(record)) Little(payload_, std::bit_cast<std::uint32_t>(us), 4);
    PutEntry(kRecordEntry, out);
  }

 private:
  void PutEntry(std::uint8_t type, std::string& out) {
    const auto length = static_cast<std::uint32_t>(payload_.size());
    Little(out, kMark, 2);
    out += static_cast<char>(type);
    Little(out, length, 4);
    Little(out, EntryCrc(type, length, base::AsBytes(payload_)), 4);
    out += payload_;
  }

  std::string payload_;
};

struct BinaryEntry {
  std::uint8_t type = 0;
  ByteView payload;
};

bool TakeBinaryEntry(ByteView rest, BinaryEntry& entry) {
  state::WireReader reader(rest);
  if (reader.U16() != kMark) return false;
  entry.type = reader.U8();
  const std::uint32_t length = reader.U32();
  const std::uint32_t crc = reader.U32();
  if (!reader.ok() || length > kEntryBytesMax) return false;
  entry.payload = reader.Raw(length);
  return reader.ok() && crc == EntryCrc(entry.type, length, entry.payload);
}

bool ParseBinaryRecord(ByteView payload, Record& record) {
  state::WireReader reader(payload);
  record.index = reader.U64();
  record.time = base::Time{base::Duration{static_cast<std::int64_t>(reader.U64())}};
  record.adaptation = reader.U64();
  record.bundle = reader.U32();
  record.label = reader.U16();
  const std::uint8_t signal = reader.U8();
  const bool has_frame = reader.U8() != 0;
  const std::uint32_t frame = reader.U32();
  if (has_frame) record.frame_number = frame;
  record.confidence = reader.F32();
  record.distance = reader.F32();
  std::array<float, 4> us{};
  for (float& value : us) value = reader.F32();
  SetDurations(record, us);
  if (!reader.ok() || signal >= kSignals.size()) return false;  // More at the end: a newer writer.
  record.signal = static_cast<DriftSignal>(signal);
  return true;
}

bool ParseBinaryBundle(ByteView payload, std::map<std::uint32_t, std::vector<std::string>>& names) {
  state::WireReader reader(payload);
  const std::uint32_t generation = reader.U32();
  static_cast<void>(reader.Text());
  std::vector<std::string> labels(reader.Count(4));
  for (std::string& label : labels) label = reader.Text();
  if (!reader.ok()) return false;
  names[generation] = std::move(labels);
  return true;
}

Result<ReadReport> ReadBinary(ByteView file, const OnEntry& on_entry) {
  ReadReport report;
  report.bytes = file.size();
  const std::size_t head = kMagic.size() + 1;
  std::size_t at = 0;
  if (file.size() >= head && base::AsText(file.first(kMagic.size())) == kMagic) {
    if (file[kMagic.size()] != static_cast<std::uint8_t>(kVersion)) {
      return Error{ErrorCode::kUnsupported,
                   StrCat("datalog: version ", static_cast<int>(file[kMagic.size()]),
                          ", this reader knows 1")};
    }
    at = head;
  }
  std::map<std::uint32_t, std::vector<std::string>> names;
  while (at < file.size()) {
    BinaryEntry binary;
    if (!TakeBinaryEntry(file.subspan(at), binary)) {
      AddDamage(report, at, 1);
      ++at;
      continue;
    }
    at += kEntryHeader + binary.payload.size();
    bool is_whole = true;
    if (binary.type == kBundleEntry) {
      is_whole = ParseBinaryBundle(binary.payload, names);
    } else if (binary.type == kRecordEntry) {
      Entry entry;
      is_whole = ParseBinaryRecord(binary.payload, entry.record);
      if (is_whole) {
        const auto known = names.find(entry.record.bundle);
        const bool is_named = known != names.end() && entry.record.label < known->second.size();
        entry.label = is_named ? known->second[entry.record.label] : "unknown";
        entry.record.bundle = 0;
        entry.record.label = 0;
        ++report.entries;
        on_entry(entry);
      }
    }  // Another type: written by a newer version; whole, so passed over.
    if (!is_whole) {
      const std::size_t bytes = kEntryHeader + binary.payload.size();
      AddDamage(report, at - bytes, bytes);
    }
  }
  NameTail(report);
  return report;
}

}  // namespace

const char* Name(Format format) {
  switch (format) {
    case Format::kJsonl:
      return "jsonl";
    case Format::kCsv:
      return "csv";
    case Format::kBinary:
      return "binary";
  }
  return "";
}

Result<Format> ParseFormat(std::string_view name) {
  for (const Format format : {Format::kJsonl, Format::kCsv, Format::kBinary}) {
    if (name == Name(format)) return format;
  }
  return Error{ErrorCode::kInvalidArgument, StrCat("'", name, "': jsonl, csv or binary is asked")};
}

const char* Ending(Format format) {
  switch (format) {
    case Format::kJsonl:
      return ".jsonl";
    case Format::kCsv:
      return ".csv";
    case Format::kBinary:
      return ".tlog";
  }
  return "";
}

std::unique_ptr<Encoder> MakeEncoder(Format format) {
  switch (format) {
    case Format::kJsonl:
      return std::make_unique<JsonlEncoder>();
    case Format::kCsv:
      return std::make_unique<CsvEncoder>();
    case Format::kBinary:
      return std::make_unique<BinaryEncoder>();
  }
  return nullptr;
}

std::uint64_t ReadReport::lost_bytes() const {
  std::uint64_t lost = 0;
  for (const Damage& damage : damaged) lost += damage.bytes;
  return lost;
}

bool ReadReport::is_corrupt() const {
  return damaged.size() > 1 || (damaged.size() == 1 && !damaged[0].is_tail);
}

std::string ReadReport::Describe() const {
  if (damaged.empty()) return "";
  if (!is_corrupt()) return StrCat(damaged[0].bytes, " bytes at the end are torn");
  std::string text = StrCat(damaged[0].bytes, " bytes from ", damaged[0].offset, " on are corrupt");
  if (damaged.size() > 1) text += StrCat(" (and ", damaged.size() - 1, " more places)");
  return text;
}

Result<ReadReport> ReadLog(Format format, ByteView file, const OnEntry& on_entry) {
  switch (format) {
    case Format::kJsonl:
      return ReadJsonl(base::AsText(file), on_entry);
    case Format::kCsv:
      return ReadCsv(base::AsText(file), on_entry);
    case Format::kBinary:
      return ReadBinary(file, on_entry);
  }
  return Error{ErrorCode::kInternal, "datalog: no such format"};
}

}  // namespace tinylcm::datalog
