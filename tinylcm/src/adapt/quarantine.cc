#include "tinylcm/adapt/quarantine.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "tinylcm/adapt/cluster.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::adapt {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;
using state::WireReader;
using state::WireWriter;

namespace {

constexpr std::string_view kSetAsideFile = "set_aside.bin";
constexpr std::uint32_t kMagic = 0x51434c54;         // "TLCQ".
constexpr std::size_t kHeaderBytes = 4 + 4 + 1 + 4;  // Magic, length, type, CRC.

enum EntryType : std::uint8_t { kBegin = 0, kSample = 1, kLabel = 2, kUnlabel = 3 };

std::uint32_t EntryCrc(std::uint32_t length, std::uint8_t type, ByteView payload) {
  WireWriter covered;
  covered.U32(length);
  covered.U8(type);
  return base::Crc32c(payload, base::Crc32c(covered.bytes()));
}

void WriteEntry(WireWriter& out, std::uint8_t type, ByteView payload) {
  const auto length = static_cast<std::uint32_t>(payload.size());
  out.U32(kMagic);
  out.U32(length);
  out.U8(type);
  out.U32(EntryCrc(length, type, payload));
  out.Raw(payload);
}

struct Entry {
  std::uint8_t type = 0;
  ByteView payload;
};

// The entry that begins exactly here, if a whole one does.
std::optional<Entry> EntryAt(ByteView bytes, std::size_t at) {
  if (bytes.size() - at < kHeaderBytes) return std::nullopt;
  WireReader reader(bytes.subspan(at));
  if (reader.U32() != kMagic) return std::nullopt;
  const std::uint32_t length = reader.U32();
  Entry entry;
  entry.type = reader.U8();
  const std::uint32_t crc = reader.U32();
  entry.payload = reader.Raw(length);
  if (!reader.ok() || crc != EntryCrc(length, entry.type, entry.payload)) return std::nullopt;
  return entry;
}

// The picture comes last, so that its place in the file is known without another field.
Bytes WriteSample(const QuarantinedSample& sample, ByteView picture) {
  WireWriter writer;
  writer.Text(sample.sample_id);
  writer.U64(sample.index);
  writer.U16(sample.prediction);
  writer.F32(sample.confidence);
  writer.F32(sample.distance);
  writer.U32(static_cast<std::uint32_t>(sample.neighbours.size()));
  for (const classify::Neighbour& neighbour : sample.neighbours) {
    writer.U32(neighbour.anchor);
    writer.U16(neighbour.label);
    writer.F32(neighbour.distance);
  }
  writer.Text(sample.reason);
  writer.Floats(sample.raw);
  writer.Floats(sample.feature);
  writer.Blob(picture);
  return writer.Take();
}

struct ReadSample {
  QuarantinedSample sample;
  ByteView picture;
};

std::optional<ReadSample> ParseSample(ByteView payload) {
  WireReader reader(payload);
  ReadSample read;
  QuarantinedSample& sample = read.sample;
  sample.sample_id = reader.Text();
  sample.index = reader.U64();
  sample.prediction = reader.U16();
  sample.confidence = reader.F32();
  sample.distance = reader.F32();
  sample.neighbours.resize(reader.Count(10));
  for (classify::Neighbour& neighbour : sample.neighbours) {
    neighbour.anchor = reader.U32();
    neighbour.label = reader.U16();
    neighbour.distance = reader.F32();
  }
  sample.reason = reader.Text();
  sample.raw = reader.Floats();
  sample.feature = reader.Floats();
  read.picture = reader.Blob();
  sample.has_picture = !read.picture.empty();
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return read;
}

Bytes WriteLabel(const Label& label) {
  WireWriter writer;
  writer.Text(label.sample_id);
  writer.U16(label.label);
  writer.Text(label.feedback_id);
  return writer.Take();
}

Bytes WriteText(std::string_view text) {
  WireWriter writer;
  writer.Text(text);
  return writer.Take();
}

}  // namespace

Quarantine::Quarantine(base::FileSystem& fs, std::string folder, const Options& options)
    : fs_(&fs), folder_(std::move(folder)), options_(options) {}

Result<Quarantine> Quarantine::Open(base::FileSystem& fs, const std::string& folder,
                                    const Options& options) {
  if (options.samples_max == 0) {
    return Error{ErrorCode::kInvalidArgument, "quarantine: samples_max must be at least 1"};
  }
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  Quarantine quarantine(fs, folder, options);
  const std::string path = base::JoinPath(folder, "samples.tlq");
  if (!base::Exists(fs, path)) {
    RETURN_IF_ERROR(quarantine.Rewrite());
    return quarantine;
  }
  // One entry may be larger than what was left of bytes_max when it came.
  ASSIGN_OR_RETURN(const Bytes bytes,
                   base::ReadFile(fs, path, 2 * options.bytes_max + (64u << 20)));
  Bytes damaged;
  RETURN_IF_ERROR(quarantine.Replay(bytes, damaged));
  quarantine.bytes_ = bytes.size();
  if (!damaged.empty()) {
    // Kept for a person; one file, the newest, for it is evidence of a bad disk and not data.
    RETURN_IF_ERROR(base::WriteFileDurably(fs, base::JoinPath(folder, kSetAsideFile), damaged));
    RETURN_IF_ERROR(quarantine.Rewrite());
    return quarantine;
  }
  ASSIGN_OR_RETURN(quarantine.file_, fs.Create(path, base::FileSystem::Mode::kAppend));
  return quarantine;
}

Status Quarantine::Replay(const Bytes& bytes, Bytes& damaged) {
  bool was_damaged = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::optional<Entry> entry = EntryAt(bytes, at);
    std::optional<ReadSample> read;
    if (entry && entry->type == kSample) read = ParseSample(entry->payload);
    if (!entry || (entry->type == kSample && !read)) {
      // Look for the next whole entry byte by byte: what lies between is one thing damaged.
      if (!was_damaged) ++set_aside_;
      was_damaged = true;
      damaged.push_back(bytes[at]);
      ++at;
      continue;
    }
    was_damaged = false;
    WireReader reader(entry->payload);
    switch (entry->type) {
      case kBegin: {
        event_id_ = reader.Text();
        current_begin_ = samples_.size();
        break;
      }
      case kSample: {
        PictureAt picture;
        picture.bytes = static_cast<std::uint32_t>(read->picture.size());
        picture.offset = at + kHeaderBytes + entry->payload.size() - read->picture.size();
        picture.crc = base::Crc32c(read->picture);
        if (!index_of_.contains(read->sample.sample_id)) Take(std::move(read->sample), picture);
        break;
      }
      case kLabel: {
        Label label;
        label.sample_id = reader.Text();
        label.label = reader.U16();
        label.feedback_id = reader.Text();
        if (index_of_.contains(label.sample_id)) labels_[label.sample_id] = label;
        break;
      }
      case kUnlabel: {
        labels_.erase(reader.Text());
        break;
      }
      default:
        break;  // Written by a newer version; whole, so passed over.
    }
    at += kHeaderBytes + entry->payload.size();
  }
  return {};
}

void Quarantine::Take(QuarantinedSample sample, const PictureAt& picture) {
  index_of_[sample.sample_id] = samples_.size();
  if (sample.has_picture) pictures_[sample.sample_id] = picture;
  samples_.push_back(std::move(sample));
}

// Writes what is in memory as a new file, whole or not at all, and goes on appending to that.
Status Quarantine::Rewrite() {
  WireWriter writer;
  std::map<std::string, PictureAt> pictures;
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    if (i == current_begin_) WriteEntry(writer, kBegin, WriteText(event_id_));
    QuarantinedSample& sample = samples_[i];
    Bytes picture;
    if (sample.has_picture) {
      Result<Bytes> read = Picture(sample.sample_id);
      // Lost with a disk that failed: the rest of the sample is still worth keeping.
      if (read.ok()) picture = *std::move(read);
      sample.has_picture = !picture.empty();
    }
    WriteEntry(writer, kSample, WriteSample(sample, picture));
    if (sample.has_picture) {
      pictures[sample.sample_id] = {.offset = writer.bytes().size() - picture.size(),
                                    .bytes = static_cast<std::uint32_t>(picture.size()),
                                    .crc = base::Crc32c(picture)};
    }
  }
  if (current_begin_ == samples_.size()) WriteEntry(writer, kBegin, WriteText(event_id_));
  for (const auto& [id, label] : labels_) WriteEntry(writer, kLabel, WriteLabel(label));

  const std::string path = base::JoinPath(folder_, "samples.tlq");
  file_.reset();
  RETURN_IF_ERROR(base::WriteFileDurably(*fs_, path, writer.bytes()));
  pictures_ = std::move(pictures);
  bytes_ = writer.bytes().size();
  is_synced_ = true;
  ASSIGN_OR_RETURN(file_, fs_->Create(path, base::FileSystem::Mode::kAppend));
  return {};
}

Status Quarantine::AppendEntry(std::uint8_t type, ByteView payload) {
  // A file that failed is not trusted with more: it is made anew from what is known.
  if (file_ == nullptr) RETURN_IF_ERROR(Rewrite());
  WireWriter writer;
  WriteEntry(writer, type, payload);
  const Status appended = file_->Append(writer.bytes());
  if (!appended.ok()) {
    file_.reset();
    return appended;
  }
  bytes_ += writer.bytes().size();
  is_synced_ = false;
  return {};
}

Status Quarantine::Begin(const std::string& event_id) {
  std::vector<QuarantinedSample> kept;
  for (QuarantinedSample& sample : samples_) {
    if (labels_.contains(sample.sample_id)) kept.push_back(std::move(sample));
  }
  if (kept.size() > options_.labelled_max) {
    const std::size_t gone = kept.size() - options_.labelled_max;
    for (std::size_t i = 0; i < gone; ++i) labels_.erase(kept[i].sample_id);
    kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(gone));
  }
  samples_ = std::move(kept);
  index_of_.clear();
  for (std::size_t i = 0; i < samples_.size(); ++i) index_of_[samples_[i].sample_id] = i;
  current_begin_ = samples_.size();
  event_id_ = event_id;
  return Rewrite();
}

bool Quarantine::is_full() const {
  return current_count() >= options_.samples_max || bytes_ >= options_.bytes_max;
}

Status Quarantine::Add(const QuarantinedSample& sample, ByteView picture) {
  if (is_full()) {
    return Error{ErrorCode::kExhausted,
                 StrCat("quarantine: full with ", current_count(), " samples, ", bytes_, " bytes")};
  }
  if (index_of_.contains(sample.sample_id)) {
    return Error{ErrorCode::kConflict, StrCat("quarantine: ", sample.sample_id, " is there")};
  }
  RETURN_IF_ERROR(AppendEntry(kSample, WriteSample(sample, picture)));
  QuarantinedSample taken = sample;
  taken.has_picture = !picture.empty();
  Take(std::move(taken), {.offset = bytes_ - picture.size(),
                          .bytes = static_cast<std::uint32_t>(picture.size()),
                          .crc = base::Crc32c(picture)});
  return {};
}

Status Quarantine::Sync() {
  if (is_synced_) return {};
  if (file_ == nullptr) return Rewrite();
  const Status synced = file_->Sync();
  if (!synced.ok()) {
    file_.reset();  // Believed: the next write makes the file anew.
    return synced;
  }
  is_synced_ = true;
  return {};
}

Status Quarantine::SetLabel(const Label& label) {
  if (!index_of_.contains(label.sample_id)) {
    return Error{ErrorCode::kNotFound, StrCat("quarantine: no sample ", label.sample_id)};
  }
  RETURN_IF_ERROR(AppendEntry(kLabel, WriteLabel(label)));
  labels_[label.sample_id] = label;
  return {};
}

Status Quarantine::RemoveLabel(const std::string& sample_id) {
  if (!labels_.contains(sample_id)) {
    return Error{ErrorCode::kNotFound, StrCat("quarantine: no label of ", sample_id)};
  }
  RETURN_IF_ERROR(AppendEntry(kUnlabel, WriteText(sample_id)));
  labels_.erase(sample_id);
  return {};
}

const QuarantinedSample* Quarantine::Find(const std::string& sample_id) const {
  const auto found = index_of_.find(sample_id);
  return found == index_of_.end() ? nullptr : &samples_[found->second];
}

Result<Bytes> Quarantine::Picture(const std::string& sample_id) const {
  const auto found = pictures_.find(sample_id);
  if (found == pictures_.end()) {
    return Error{ErrorCode::kNotFound, StrCat("quarantine: no picture of ", sample_id)};
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<base::ReadableFile> file,
                   fs_->Open(base::JoinPath(folder_, "samples.tlq")));
  Bytes bytes(found->second.bytes);
  std::size_t read = 0;
  while (read < bytes.size()) {
    ASSIGN_OR_RETURN(const std::size_t count,
                     file->ReadAt(found->second.offset + read, std::span(bytes).subspan(read)));
    if (count == 0) break;
    read += count;
  }
  if (read < bytes.size() || base::Crc32c(bytes) != found->second.crc) {
    return Error{ErrorCode::kCorrupt,
                 StrCat("quarantine: picture of ", sample_id, ": CRC differs")};
  }
  return bytes;
}

Status Quarantine::ErasePictures() {
  for (QuarantinedSample& sample : samples_) sample.has_picture = false;
  RETURN_IF_ERROR(base::RemoveTree(*fs_, base::JoinPath(folder_, kSetAsideFile)));
  return Rewrite();
}

std::vector<Quarantine::Asked> Quarantine::AskFor(std::uint32_t labels, std::uint64_t seed) const {
  std::vector<Asked> asked;
  if (current_count() == 0) return asked;
  const std::size_t dims = samples_[current_begin_].feature.size();
  std::vector<float> features;
  std::vector<std::size_t> rows;
  for (std::size_t i = current_begin_; i < samples_.size(); ++i) {
    // Of another bundle, if one was swapped in between: not comparable.
    if (samples_[i].feature.size() != dims || dims == 0) continue;
    features.insert(features.end(), samples_[i].feature.begin(), samples_[i].feature.end());
    rows.push_back(i);
  }
  if (rows.empty()) return asked;
  const Clustering clustering = Cluster(features, dims, {.clusters = labels, .seed = seed});
  for (std::uint32_t c = 0; c < clustering.medoids.size(); ++c) {
    asked.push_back({.sample_id = samples_[rows[clustering.medoids[c]]].sample_id,
                     .cluster = c,
                     .cluster_mass = clustering.masses[c]});
  }
  std::stable_sort(asked.begin(), asked.end(),
                   [](const Asked& a, const Asked& b) { return a.cluster_mass > b.cluster_mass; });
  return asked;
}

}  // namespace tinylcm::adapt
