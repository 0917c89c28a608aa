// Quarantine: the samples set aside after an alarm, on disk, within a bound.
//
// An append-only file with a CRC an entry. A killed process loses nothing that was added; a power
// cut at most what came after the last Sync() (call it once a second). A torn tail or a flipped bit
// costs that one entry: its bytes are set aside beside the file and counted, the others are read.
// Labelled samples outlive the event that asked for them, for the next bundle learns from them too.
//
// Full: Add answers kExhausted and the sample is not taken. Pictures stay on disk and are read when
// asked for. Format: docs/formats/device_state.md.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinylcm/adapt/sample.h"

namespace tinylcm::adapt {

// Not thread-safe.
class Quarantine {
 public:
  struct Options {
    std::uint32_t samples_max = 300;        // Of the current event.
    std::uint32_t labelled_max = 200;       // Of earlier events; the oldest go first.
    std::uint64_t bytes_max = 48ull << 20;  // Of the file.
  };

  // One sample to ask a person about.
  struct Asked {
    std::string sample_id;
    std::uint32_t cluster = 0;
    float cluster_mass = 0.0f;
  };

  // `fs` must outlive it. Reads what an earlier life left.
  static base::Result<Quarantine> Open(base::FileSystem& fs, const std::string& folder,
                                       const Options& options);

  // Starts collecting for an event: samples of earlier ones that nobody labelled are dropped.
  // Durable.
  base::Status Begin(const std::string& event_id);

  // `picture`: the frame as captured (JPEG or PNG; not looked at), empty for rows. kExhausted when
  // full, kConflict for an id that is there already.
  base::Status Add(const QuarantinedSample& sample, base::ByteView picture);

  // What was added is durable when it returns.
  base::Status Sync();

  // A second label for a sample replaces the first. kNotFound for a sample that is not here.
  // Durable after Sync().
  base::Status SetLabel(const Label& label);
  base::Status RemoveLabel(const std::string& sample_id);

  const std::string& event_id() const { return event_id_; }
  // Those of earlier events (labelled) first, then the current event's in order of arrival.
  const std::vector<QuarantinedSample>& samples() const { return samples_; }
  // Where the current event's samples begin.
  std::size_t current_begin() const { return current_begin_; }
  std::size_t current_count() const { return samples_.size() - current_begin_; }
  bool is_full() const;
  // By sample id; every one belongs to a sample here.
  const std::map<std::string, Label>& labels() const { return labels_; }
  const QuarantinedSample* Find(const std::string& sample_id) const;

  // kNotFound where the sample came without one; kCorrupt if its bytes no longer match.
  base::Result<base::Bytes> Picture(const std::string& sample_id) const;

  // Forgets every picture, damaged pieces of a file that may hold one included; the samples stay.
  // Durable.
  base::Status ErasePictures();

  // The samples of the current event that cover it best, largest cluster first.
  std::vector<Asked> AskFor(std::uint32_t labels, std::uint64_t seed) const;

  // Entries that could not be read when the file was opened.
  std::uint32_t set_aside() const { return set_aside_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct PictureAt {
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t crc = 0;
  };

  Quarantine(base::FileSystem& fs, std::string folder, const Options& options);
  base::Status Replay(const base::Bytes& bytes, base::Bytes& damaged);
  base::Status Rewrite();
  base::Status AppendEntry(std::uint8_t type, base::ByteView payload);
  void Take(QuarantinedSample sample, const PictureAt& picture);

  base::FileSystem* fs_;
  std::string folder_;
  Options options_;
  std::unique_ptr<base::WritableFile> file_;
  std::uint64_t bytes_ = 0;
  bool is_synced_ = true;
  std::string event_id_;
  std::vector<QuarantinedSample> samples_;
  std::map<std::string, std::size_t> index_of_;
  std::map<std::string, PictureAt> pictures_;
  std::map<std::string, Label> labels_;
  std::size_t current_begin_ = 0;
  std::uint32_t set_aside_ = 0;
};

}  // namespace tinylcm::adapt
