// PackageQueue: packages on disk until the server has said, signed, that it holds them.
//
// One file a package. It is written below tmp/, synced, renamed into queue/ and the folder synced:
// that rename is the commit. From then on the folder a file is in is its state: queue, acked (kept
// a while, in case the server is restored from a backup), dead (refused for good, or damaged).
// There is no second index to disagree with it. docs/formats/queue.md has the file's layout.
//
// A damaged entry is set aside into dead/ and reported; everything else flows. When the quota or
// the disk is full, acked entries go first, then the least important and oldest waiting ones, never
// one more important than what comes in, dead ones last; every one that goes is counted.

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"
#include "protocol/identifiers.h"
#include "tinylcm/state/record.h"

namespace tinylcm::sync {

enum class QueueFolder { kQueue, kAcked, kDead };
const char* Name(QueueFolder folder);

struct QueuedPackage {
  protocol::PackageName name;  // Without ids where a damaged entry's are unknown.
  std::string type;
  int package_class = 3;
  std::uint64_t bytes = 0;  // Of the archive.
  std::string sha256;       // Of the archive, hex.
  std::string format;       // "tar.gz"
  base::Time created_at{};
  std::string replaces;  // The package id this one was made anew from.
  QueueFolder folder = QueueFolder::kQueue;
  std::string file;  // Its name within the folder.
  // kDead.
  std::string reason_code;
  std::string reason;
  base::Time dead_at{};
};

// An archive in the queue, its digest checked.
struct QueuedArchive {
  std::unique_ptr<base::ReadableFile> file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

// May be used from several threads; adding and sending do not wait for each other's compression or
// network.
class PackageQueue {
 public:
  struct Options {
    std::string folder;
    std::string device_id;
    std::uint64_t bytes_max = 256ull << 20;  // Of everything below the folder.
    std::size_t packages_max = 10'000;
    base::Duration acked_keep = std::chrono::hours(7 * 24);
  };

  struct Counts {
    std::uint64_t waiting = 0;
    std::uint64_t waiting_bytes = 0;
    std::uint64_t acked = 0;  // Still kept.
    std::uint64_t dead = 0;
    std::uint64_t bytes = 0;                 // Of everything.
    std::uint64_t made = 0;                  // Since the folder was made: the last seq.
    std::array<std::uint64_t, 5> evicted{};  // By class (1..4).
    std::uint64_t set_aside = 0;             // Damaged entries, ever.
    std::uint64_t evicted_total() const;
  };

  // References must outlive the queue. What was torn by a power cut is put right.
  static base::Result<std::unique_ptr<PackageQueue>> Open(base::FileSystem& fs, base::Clock& clock,
                                                          base::Logger& logger,
                                                          const Options& options);

  // Makes a package's archive under the name it was given.
  using Make = std::function<base::Result<base::Bytes>(const protocol::PackageName& name)>;
  struct NewPackage {
    std::string type;
    std::string format = "tar.gz";
    std::string replaces{};
  };
  // Durable when it returns ok (where the folder itself could not be synced, that is logged; the
  // package is there and will be sent). A failed attempt uses up no seq. kExhausted (and counted as
  // evicted) where there is no room even after evicting what may be evicted.
  base::Result<protocol::PackageName> Add(const NewPackage& package, const Make& make);

  // Waiting packages in the order in which they are to be sent.
  std::vector<QueuedPackage> Waiting() const;
  std::vector<QueuedPackage> In(QueueFolder folder) const;

  // kCorrupt if its bytes are no longer what was queued; it has then been set aside.
  base::Result<QueuedArchive> OpenArchive(const QueuedPackage& package);
  base::Result<base::Bytes> ReadArchive(const QueuedPackage& package);

  // The server holds it. Fine if it is gone meanwhile.
  base::Status MarkAcked(const QueuedPackage& package);
  // The server will never take it.
  base::Status MarkDead(const QueuedPackage& package, const std::string& code,
                        const std::string& reason);
  // From acked or dead back into the queue.
  base::Status Requeue(const QueuedPackage& package);
  // Removes it, its successor being durable.
  base::Status Remove(const QueuedPackage& package);

  // A new epoch: the server knows other packages by our names (the card was copied or restored).
  base::Status ForkEpoch();
  std::string epoch() const;

  // Takes notice of what others (`tinylcm queue requeue`) moved, and drops what was acked long ago.
  void Refresh();

  // Damaged entries found since the last call, for a report.
  std::vector<QueuedPackage> TakeSetAside();

  Counts counts() const;

 private:
  PackageQueue(base::FileSystem& fs, base::Clock& clock, base::Logger& logger,
               const Options& options, state::TwoCopyRecord record);

  std::string PathOf(QueueFolder folder, const std::string& file) const;
  std::string FolderPath(QueueFolder folder) const;
  base::Status Load();
  void LoadFolderLocked(QueueFolder folder);
  void SetAsideLocked(QueueFolder from, const std::string& file, const std::string& reason);
  base::Status SaveRecordLocked();
  base::Status MoveLocked(const std::string& key, QueueFolder to, const std::string& file);
  bool EvictOneLocked(int incoming_class);
  bool MakeRoomLocked(std::uint64_t bytes, int incoming_class);
  base::Status WriteEntry(const std::string& temporary, const QueuedPackage& package,
                          base::ByteView archive);
  std::uint64_t BytesLocked() const;
  std::uint64_t LastSeqLocked() const;

  base::FileSystem& fs_;
  base::Clock& clock_;
  base::Logger& logger_;
  Options options_;

  std::mutex add_mutex_;  // One Add at a time, so that seqs have no gaps. Taken before mutex_.
  mutable std::mutex mutex_;
  state::TwoCopyRecord record_;
  bool record_is_stale_ = false;
  std::string epoch_;
  std::uint64_t next_seq_ = 1;
  std::array<std::uint64_t, 5> evicted_{};
  std::uint64_t set_aside_ = 0;
  std::map<std::string, QueuedPackage> entries_;  // By class and seq: "1-00000042".
  std::vector<QueuedPackage> newly_set_aside_;
};

// What is in a queue's folder, without touching it: for `tinylcm queue`, beside a running agent
// too.
struct QueueListing {
  std::string epoch;
  std::uint64_t seq_last = 0;
  std::vector<QueuedPackage> packages;
};
base::Result<QueueListing> ListQueue(base::FileSystem& fs, const std::string& folder);
// Reads the whole entry and checks every digest.
base::Status VerifyQueued(base::FileSystem& fs, const std::string& folder,
                          const QueuedPackage& package);
// Writes the archive of an entry to `path`.
base::Status ExportQueued(base::FileSystem& fs, const std::string& folder,
                          const QueuedPackage& package, const std::string& path);
// Does it hold pictures? Also true for one that cannot be read, for nobody knows.
bool MayHoldPictures(base::FileSystem& fs, const std::string& folder, const QueuedPackage& package);
// Removes it, wherever it lies, with what is said of it. No agent may run.
base::Status EraseQueued(base::FileSystem& fs, const std::string& folder,
                         const QueuedPackage& package);
// Moves a dead entry back into the queue; kCorrupt for a damaged one.
base::Status RequeueDead(base::FileSystem& fs, const std::string& folder,
                         const QueuedPackage& package);

}  // namespace tinylcm::sync
