#include "tinylcm/adapt/quarantine.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "tinylcm/adapt/eviction.h"
#include "tinylcm/adapt/question.h"
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
constexpr std::size_t kGoneMax = 4096;

enum EntryType : std::uint8_t {
  kBegin = 0,
  kSampleOld = 1,  // Without novelty; read only.
  kLabelOld = 2,   // Without a weight; read only.
  kUnlabel = 3,
  kSample = 4,
  kLabel = 5,
  kEvicted = 6,
  kGone = 7,
  kOpened = 8,
  kClasses = 9,
};

// FNV-1a and a finaliser: the same on every machine.
std::uint64_t Digest(std::string_view id) {
  std::uint64_t digest = 14695981039346656037ull;
  for (const char c : id) {
    digest = (digest ^ static_cast<std::uint8_t>(c)) * 1099511628211ull;
  }
  digest = (digest ^ (digest >> 33)) * 0xff51afd7ed558ccdull;
  return digest ^ (digest >> 33);
}

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
  writer.F32(sample.novelty);
  writer.F32(sample.stands_for);
  writer.Text(sample.bundle);
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

std::optional<ReadSample> ParseSample(std::uint8_t type, ByteView payload) {
  WireReader reader(payload);
  ReadSample read;
  QuarantinedSample& sample = read.sample;
  sample.sample_id = reader.Text();
  sample.index = reader.U64();
  sample.prediction = reader.U16();
  sample.confidence = reader.F32();
  sample.distance = reader.F32();
  if (type == kSample) {
    sample.novelty = reader.F32();
    sample.stands_for = reader.F32();
    sample.bundle = reader.Text();
  }
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
  writer.F32(label.weight);
  return writer.Take();
}

bool IsSample(std::uint8_t type) { return type == kSample || type == kSampleOld; }

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
  // One entry may be larger than what was left when it came.
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
    if (entry && IsSample(entry->type)) read = ParseSample(entry->type, entry->payload);
    if (!entry || (IsSample(entry->type) && !read)) {
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
        gave_way_ = reader.at_end() ? 0 : reader.U32();
        break;
      }
      case kSampleOld:
      case kSample: {
        PictureAt picture;
        picture.bytes = static_cast<std::uint32_t>(read->picture.size());
        picture.offset = at + kHeaderBytes + entry->payload.size() - read->picture.size();
        picture.crc = base::Crc32c(read->picture);
        if (!index_of_.contains(read->sample.sample_id)) {
          Take(std::move(read->sample), picture, kHeaderBytes + entry->payload.size());
        }
        break;
      }
      case kLabelOld:
      case kLabel: {
        Label label;
        label.sample_id = reader.Text();
        label.label = reader.U16();
        label.feedback_id = reader.Text();
        if (entry->type == kLabel) label.weight = reader.F32();
        if (index_of_.contains(label.sample_id)) labels_[label.sample_id] = label;
        break;
      }
      case kUnlabel: {
        labels_.erase(reader.Text());
        break;
      }
      case kEvicted: {
        const auto found = index_of_.find(reader.Text());
        const std::string heir = reader.Text();
        if (found != index_of_.end()) Drop(found->second, heir);
        break;
      }
      case kGone: {
        const std::uint32_t count = reader.Count(8);
        for (std::uint32_t i = 0; i < count; ++i) Remember(reader.U64());
        break;
      }
      case kClasses: {
        classes_.resize(reader.Count(4));
        for (std::string& name : classes_) name = reader.Text();
        break;
      }
      case kOpened: {
        opened_.push_back(reader.Text());
        break;
      }
      default:
        break;  // Written by a newer version; whole, so passed over.
    }
    at += kHeaderBytes + entry->payload.size();
  }
  return {};
}

void Quarantine::Take(QuarantinedSample sample, const PictureAt& picture,
                      std::uint64_t entry_bytes) {
  index_of_[sample.sample_id] = samples_.size();
  if (sample.has_picture) pictures_[sample.sample_id] = picture;
  entry_bytes_[sample.sample_id] = entry_bytes;
  live_bytes_ += entry_bytes;
  samples_.push_back(std::move(sample));
}

void Quarantine::Remember(std::uint64_t gone) {
  if (!gone_.all.insert(gone).second) return;
  gone_.in_order.push_back(gone);
  if (gone_.in_order.size() > kGoneMax) {
    gone_.all.erase(gone_.in_order.front());
    gone_.in_order.pop_front();
  }
}

// Out of memory; what is left of it in the file is dead.
void Quarantine::Drop(std::size_t index, const std::string& heir) {
  const QuarantinedSample gone = std::move(samples_[index]);
  samples_.erase(samples_.begin() + static_cast<std::ptrdiff_t>(index));
  index_of_.clear();
  for (std::size_t i = 0; i < samples_.size(); ++i) index_of_[samples_[i].sample_id] = i;
  if (index < current_begin_) {
    --current_begin_;
  } else {
    ++gave_way_;
  }
  const auto stands_in = index_of_.find(heir);
  if (stands_in != index_of_.end()) samples_[stands_in->second].stands_for += gone.stands_for;
  live_bytes_ -= entry_bytes_[gone.sample_id];
  entry_bytes_.erase(gone.sample_id);
  pictures_.erase(gone.sample_id);
  labels_.erase(gone.sample_id);
  held_.erase(gone.sample_id);
  Remember(Digest(gone.sample_id));
}

Status Quarantine::Evict(std::size_t index, const std::string& heir) {
  WireWriter payload;
  payload.Text(samples_[index].sample_id);
  payload.Text(heir);
  RETURN_IF_ERROR(AppendEntry(kEvicted, payload.bytes()));
  Drop(index, heir);
  return {};
}

// Until so many bytes more fit, or nobody can give way.
Status Quarantine::MakeRoom(std::uint64_t bytes) {
  if (bytes > options_.bytes_max) {
    return Error{ErrorCode::kExhausted,
                 StrCat("quarantine: a sample of ", bytes, " bytes; all together may take ",
                        options_.bytes_max)};
  }
  while (live_bytes_ + bytes > options_.bytes_max) {
    std::vector<EvictionCandidate> candidates;
    for (std::size_t i = current_begin_; i < samples_.size(); ++i) {
      const QuarantinedSample& sample = samples_[i];
      candidates.push_back(
          {.group = sample.prediction,
           .novelty = sample.novelty,
           .is_held = labels_.contains(sample.sample_id) || held_.contains(sample.sample_id)});
    }
    const std::optional<Eviction> eviction = WhoGivesWay(candidates);
    if (!eviction) {
      is_out_of_room_ = true;
      return Error{ErrorCode::kExhausted,
                   StrCat("quarantine: full with ", current_count(), " samples, ", live_bytes_,
                          " bytes, and none of them can give way")};
    }
    const std::size_t gives_way = current_begin_ + eviction->gives_way;
    RETURN_IF_ERROR(Evict(gives_way, eviction->heir
                                         ? samples_[current_begin_ + *eviction->heir].sample_id
                                         : std::string()));
  }
  if (bytes_ + bytes > 2 * options_.bytes_max) return Rewrite();
  return {};
}

// Writes what is in memory as a new file, whole or not at all, and goes on appending to that. One
// sample is in memory twice, never all pictures.
Status Quarantine::Rewrite() {
  const std::string path = base::JoinPath(folder_, "samples.tlq");
  const std::string temporary = path + ".tmp";
  std::map<std::string, PictureAt> pictures;
  std::map<std::string, std::uint64_t> entry_bytes;
  std::uint64_t written = 0;
  std::uint64_t live = 0;
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<base::WritableFile> file,
                     fs_->Create(temporary, base::FileSystem::Mode::kTruncate));
    const auto append = [&](std::uint8_t type, ByteView payload) -> Status {
      WireWriter writer;
      WriteEntry(writer, type, payload);
      written += writer.bytes().size();
      return file->Append(writer.bytes());
    };
    if (!gone_.in_order.empty()) {
      WireWriter gone;
      gone.U32(static_cast<std::uint32_t>(gone_.in_order.size()));
      for (const std::uint64_t one : gone_.in_order) gone.U64(one);
      RETURN_IF_ERROR(append(kGone, gone.bytes()));
    }
    if (!classes_.empty()) {
      WireWriter classes;
      classes.U32(static_cast<std::uint32_t>(classes_.size()));
      for (const std::string& name : classes_) classes.Text(name);
      RETURN_IF_ERROR(append(kClasses, classes.bytes()));
    }
    for (const std::string& name : opened_) RETURN_IF_ERROR(append(kOpened, WriteText(name)));
    WireWriter begin;
    begin.Text(event_id_);
    begin.U32(static_cast<std::uint32_t>(gave_way_));
    for (std::size_t i = 0; i < samples_.size(); ++i) {
      if (i == current_begin_) RETURN_IF_ERROR(append(kBegin, begin.bytes()));
      QuarantinedSample& sample = samples_[i];
      Bytes picture;
      if (sample.has_picture) {
        Result<Bytes> read = Picture(sample.sample_id);
        // Lost with a disk that failed: the rest of the sample is still worth keeping.
        if (read.ok()) picture = *std::move(read);
        sample.has_picture = !picture.empty();
      }
      const std::uint64_t before = written;
      RETURN_IF_ERROR(append(kSample, WriteSample(sample, picture)));
      entry_bytes[sample.sample_id] = written - before;
      live += written - before;
      if (sample.has_picture) {
        pictures[sample.sample_id] = {.offset = written - picture.size(),
                                      .bytes = static_cast<std::uint32_t>(picture.size()),
                                      .crc = base::Crc32c(picture)};
      }
    }
    if (current_begin_ == samples_.size()) RETURN_IF_ERROR(append(kBegin, begin.bytes()));
    for (const auto& [id, label] : labels_) RETURN_IF_ERROR(append(kLabel, WriteLabel(label)));
    RETURN_IF_ERROR(file->Sync());
    return file->Close();
  };

  file_.reset();
  Status status = write();
  if (status.ok()) status = fs_->Rename(temporary, path);
  if (!status.ok()) {
    // Best effort: what is left of it is overwritten by the next attempt anyway.
    static_cast<void>(fs_->Remove(temporary).ok());
    return status;
  }
  pictures_ = std::move(pictures);
  entry_bytes_ = std::move(entry_bytes);
  live_bytes_ = live;
  bytes_ = written;
  RETURN_IF_ERROR(fs_->SyncDirectory(folder_));
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
  std::vector<bool> is_kept(samples_.size());
  std::vector<std::size_t> labelled;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    is_kept[i] = labels_.contains(samples_[i].sample_id);
    if (!is_kept[i]) continue;
    labelled.push_back(i);
    bytes += entry_bytes_.at(samples_[i].sample_id);
  }
  // Too many: of the class that has most, so that a rare one keeps what people said of it. Half of
  // the bytes are the next event's.
  while (labelled.size() > options_.labelled_max || bytes > options_.bytes_max / 2) {
    std::vector<EvictionCandidate> candidates;
    for (const std::size_t i : labelled) {
      candidates.push_back({.group = labels_.at(samples_[i].sample_id).label,
                            .novelty = samples_[i].novelty,
                            .is_held = false});
    }
    const std::size_t gives_way = WhoGivesWay(candidates)->gives_way;
    is_kept[labelled[gives_way]] = false;
    bytes -= entry_bytes_.at(samples_[labelled[gives_way]].sample_id);
    labels_.erase(samples_[labelled[gives_way]].sample_id);
    labelled.erase(labelled.begin() + static_cast<std::ptrdiff_t>(gives_way));
  }
  std::vector<QuarantinedSample> kept;
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    if (is_kept[i]) {
      kept.push_back(std::move(samples_[i]));
    } else {
      Remember(Digest(samples_[i].sample_id));
    }
  }
  samples_ = std::move(kept);
  index_of_.clear();
  for (std::size_t i = 0; i < samples_.size(); ++i) index_of_[samples_[i].sample_id] = i;
  held_.clear();
  current_begin_ = samples_.size();
  gave_way_ = 0;
  is_out_of_room_ = false;
  event_id_ = event_id;
  return Rewrite();
}

bool Quarantine::is_full() const {
  return taken_count() >= options_.samples_max || is_out_of_room_;
}

Status Quarantine::Add(const QuarantinedSample& sample, ByteView picture) {
  if (taken_count() >= options_.samples_max) {
    return Error{ErrorCode::kExhausted,
                 StrCat("quarantine: full: ", taken_count(), " samples of this event were taken")};
  }
  if (index_of_.contains(sample.sample_id)) {
    return Error{ErrorCode::kConflict, StrCat("quarantine: ", sample.sample_id, " is there")};
  }
  const Bytes payload = WriteSample(sample, picture);
  RETURN_IF_ERROR(MakeRoom(kHeaderBytes + payload.size()));
  RETURN_IF_ERROR(AppendEntry(kSample, payload));
  QuarantinedSample taken = sample;
  taken.has_picture = !picture.empty();
  Take(std::move(taken),
       {.offset = bytes_ - picture.size(),
        .bytes = static_cast<std::uint32_t>(picture.size()),
        .crc = base::Crc32c(picture)},
       kHeaderBytes + payload.size());
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

void Quarantine::Hold(std::span<const std::string> sample_ids) {
  for (const std::string& sample_id : sample_ids) {
    if (index_of_.contains(sample_id)) held_.insert(sample_id);
  }
}

bool Quarantine::WasEvicted(const std::string& sample_id) const {
  return gone_.all.contains(Digest(sample_id));
}

Result<std::size_t> Quarantine::OpenClass(const std::string& name) {
  const auto found = std::find(opened_.begin(), opened_.end(), name);
  if (found != opened_.end()) return static_cast<std::size_t>(found - opened_.begin());
  if (opened_.size() >= kOpenedMax) {
    return Error{ErrorCode::kExhausted,
                 StrCat("quarantine: class '", name, "': ", kOpenedMax, " were opened already")};
  }
  RETURN_IF_ERROR(AppendEntry(kOpened, WriteText(name)));
  opened_.push_back(name);
  return opened_.size() - 1;
}

Status Quarantine::SetClasses(std::vector<std::string> classes) {
  if (classes == classes_) return {};
  const bool is_known = !classes_.empty();
  std::vector<std::string> names = classes_;
  names.insert(names.end(), opened_.begin(), opened_.end());
  classes_ = std::move(classes);
  if (is_known) {
    // Those that are opened stay so, in their order, but what the bundle has by itself.
    std::erase_if(opened_, [&](const std::string& name) {
      return std::ranges::find(classes_, name) != classes_.end();
    });
    const auto number_of = [&](const std::string& name) -> std::optional<std::size_t> {
      const auto own = std::ranges::find(classes_, name);
      if (own != classes_.end()) return static_cast<std::size_t>(own - classes_.begin());
      const auto other = std::ranges::find(opened_, name);
      if (other == opened_.end()) return std::nullopt;
      return classes_.size() + static_cast<std::size_t>(other - opened_.begin());
    };
    const auto renumber = [&](std::uint16_t& label, std::uint16_t missing) {
      const auto number = label < names.size() ? number_of(names[label]) : std::nullopt;
      label = number ? static_cast<std::uint16_t>(*number) : missing;
    };
    for (auto& [id, label] : labels_) {
      const bool has_name = label.label < names.size();
      if (has_name && !number_of(names[label.label]) && opened_.size() < kOpenedMax) {
        opened_.push_back(names[label.label]);
      }
      renumber(label.label, classify::kUnknownLabel);
    }
    std::erase_if(labels_, [](const auto& one) {
      return one.second.label == classify::kUnknownLabel;  // More classes than may be opened.
    });
    for (QuarantinedSample& sample : samples_) {
      renumber(sample.prediction, classify::kUnknownLabel);
      for (classify::Neighbour& neighbour : sample.neighbours) {
        renumber(neighbour.label, classify::kUnknownLabel);
      }
    }
  }
  return Rewrite();
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

std::vector<Quarantine::Asked> Quarantine::AskFor(std::uint32_t labels, std::uint64_t seed,
                                                  std::span<const std::string> already) const {
  std::vector<Asked> asked;
  if (current_count() == 0) return asked;
  const std::size_t dims = samples_[current_begin_].feature.size();
  std::vector<float> features;
  std::vector<QuestionSample> rows;
  std::vector<std::size_t> sample_of;
  for (std::size_t i = current_begin_; i < samples_.size(); ++i) {
    const QuarantinedSample& sample = samples_[i];
    // Of another bundle, if one was swapped in between: not comparable.
    if (sample.feature.size() != dims || dims == 0) continue;
    features.insert(features.end(), sample.feature.begin(), sample.feature.end());
    rows.push_back(
        {.accuracy = sample.confidence,
         .novelty = sample.novelty,
         .stands_for = sample.stands_for,
         .is_asked = labels_.contains(sample.sample_id) ||
                     std::find(already.begin(), already.end(), sample.sample_id) != already.end()});
    sample_of.push_back(i);
  }
  if (rows.empty()) return asked;
  for (Question& question : Questions(features, dims, rows, {.labels = labels, .seed = seed})) {
    asked.push_back({.sample_id = samples_[sample_of[question.row]].sample_id,
                     .cluster = question.cluster,
                     .cluster_mass = question.mass,
                     .cluster_accuracy = question.accuracy,
                     .novelty = question.novelty,
                     .reason = std::move(question.reason)});
  }
  return asked;
}

}  // namespace tinylcm::adapt
