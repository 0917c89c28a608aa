// Quarantine: the samples set aside after an alarm, on disk, within a bound.
//
// An append-only file with a CRC an entry. A killed process loses nothing that was added; a power
// cut at most what came after the last Sync() (call it once a second). A torn tail or a flipped bit
// costs that one entry: its bytes are set aside beside the file and counted, the others are read.
// Labelled samples outlive the event that asked for them, for the next bundle learns from them too.
//
// Full: the sample that is missed least gives way (eviction.h) and the one most like it stands for
// it; one that a person labelled or is being asked about never does. A label that comes too late
// is told from one that nobody ever asked for. Pictures stay on disk and are read when asked for.
// Format: docs/formats/device_state.md.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
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
    std::uint32_t samples_max = 300;        // Of the current event; then it is_full().
    std::uint32_t labelled_max = 200;       // Of earlier events, labels and samples.
    std::uint64_t bytes_max = 48ull << 20;  // Of samples; the file is at most twice as large.
  };
  static constexpr std::size_t kOpenedMax = 64;  // Classes.

  // One sample to ask a person about, most pressing first.
  struct Asked {
    std::string sample_id;
    std::uint32_t cluster = 0;
    float cluster_mass = 0.0f;
    float cluster_accuracy = 0.0f;
    float novelty = 0.0f;
    std::string reason;  // Why, in words.
  };

  // `fs` must outlive it. Reads what an earlier life left.
  static base::Result<Quarantine> Open(base::FileSystem& fs, const std::string& folder,
                                       const Options& options);

  // Starts collecting for an event: samples of earlier ones that nobody labelled are dropped.
  // Durable.
  base::Status Begin(const std::string& event_id);

  // `picture`: the frame as captured (JPEG or PNG; not looked at), empty for rows. Where there is
  // no room others give way; kExhausted if none can, kConflict for an id that is there already.
  base::Status Add(const QuarantinedSample& sample, base::ByteView picture);

  // What was added is durable when it returns.
  base::Status Sync();

  // A second label for a sample replaces the first. kNotFound for a sample that is not here.
  // Durable after Sync().
  base::Status SetLabel(const Label& label);
  base::Status RemoveLabel(const std::string& sample_id);

  // Samples that a person is being asked about do not give way until the next Begin. Ids that are
  // not here are passed over. To be said again after a restart.
  void Hold(std::span<const std::string> sample_ids);

  // Whether a sample was here once and gave way, to others or to the next event. The last 4,096
  // are remembered.
  bool WasEvicted(const std::string& sample_id) const;

  // What labels and predictions here mean: the classes of the bundle that runs. Where they meant
  // others before, each keeps its name: a label for a class that the bundle lacks becomes an opened
  // one, a prediction "unknown". Durable; nothing is written where nothing changes.
  base::Status SetClasses(std::vector<std::string> classes);
  const std::vector<std::string>& classes() const { return classes_; }

  // A class that the bundle lacks: its label is the bundle's count of classes plus its place here.
  // The first time it is added to the list; kExhausted beyond kOpenedMax. Durable after Sync().
  base::Result<std::size_t> OpenClass(const std::string& name);
  const std::vector<std::string>& opened() const { return opened_; }

  const std::string& event_id() const { return event_id_; }
  // Those of earlier events (labelled) first, then the current event's in order of arrival.
  const std::vector<QuarantinedSample>& samples() const { return samples_; }
  // Where the current event's samples begin.
  std::size_t current_begin() const { return current_begin_; }
  std::size_t current_count() const { return samples_.size() - current_begin_; }
  // Those, and those of the current event that gave way.
  std::size_t taken_count() const { return current_count() + gave_way_; }
  // Enough of the current event was taken, or no more can be.
  bool is_full() const;
  // By sample id; every one belongs to a sample here.
  const std::map<std::string, Label>& labels() const { return labels_; }
  const QuarantinedSample* Find(const std::string& sample_id) const;

  // kNotFound where the sample came without one; kCorrupt if its bytes no longer match.
  base::Result<base::Bytes> Picture(const std::string& sample_id) const;

  // Forgets every picture, damaged pieces of a file that may hold one included; the samples stay.
  // Durable.
  base::Status ErasePictures();

  // What to ask a person about the current event (question.h). Samples that are labelled, or among
  // `already`, are not asked about again.
  std::vector<Asked> AskFor(std::uint32_t labels, std::uint64_t seed,
                            std::span<const std::string> already = {}) const;

  // Entries that could not be read when the file was opened.
  std::uint32_t set_aside() const { return set_aside_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct PictureAt {
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t crc = 0;
  };
  // The ids that are gone, as 64-bit digests: two of 4,096 share one once in 10^12 quarantines.
  struct Gone {
    std::deque<std::uint64_t> in_order;
    std::set<std::uint64_t> all;
  };

  Quarantine(base::FileSystem& fs, std::string folder, const Options& options);
  base::Status Replay(const base::Bytes& bytes, base::Bytes& damaged);
  base::Status Rewrite();
  base::Status AppendEntry(std::uint8_t type, base::ByteView payload);
  void Take(QuarantinedSample sample, const PictureAt& picture, std::uint64_t entry_bytes);
  base::Status MakeRoom(std::uint64_t bytes);
  base::Status Evict(std::size_t index, const std::string& heir);
  void Drop(std::size_t index, const std::string& heir);
  void Remember(std::uint64_t gone);

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
  std::map<std::string, std::uint64_t> entry_bytes_;
  std::set<std::string> held_;
  std::vector<std::string> classes_;  // Empty: an earlier version did not say.
  std::vector<std::string> opened_;
  Gone gone_;
  std::uint64_t live_bytes_ = 0;  // Of the samples here; the rest of the file is dead.
  std::size_t gave_way_ = 0;      // Of the current event.
  bool is_out_of_room_ = false;
  std::size_t current_begin_ = 0;
  std::uint32_t set_aside_ = 0;
};

}  // namespace tinylcm::adapt
