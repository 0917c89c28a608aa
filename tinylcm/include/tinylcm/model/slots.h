// Slots: which of the bundles on this disk runs: current, the previous one, and the golden one that
// the device came with.
//
//   bundles/<sha256 of manifest.json>/   content-addressed, written whole, then renamed into place
//   slots                                a two-copy record: which is which, and failed starts
//
// A crash at any point leaves exactly one valid current: a bundle's folder is complete before the
// record names it, and the record is replaced by generation and CRC. Three failed starts lead to
// previous, three more to golden.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/state/record.h"

namespace tinylcm::model {

// Not thread-safe: one thread owns it (the agent's control thread).
class Slots {
 public:
  struct State {
    std::string current;  // Hex bundle identity; empty: none.
    std::string previous;
    std::string golden;
    std::uint32_t failed_starts = 0;  // Of current: begun since it was last called healthy.
    friend bool operator==(const State&, const State&) = default;
  };

  static constexpr std::uint32_t kFailedStartsMax = 3;

  // Opens or makes the folder; leftovers of a crash (unfinished unpacking) are removed.
  static base::Result<Slots> Open(base::FileSystem& fs, const std::string& folder);

  const State& state() const { return state_; }
  std::string FolderOf(const std::string& bundle) const;
  bool Has(const std::string& bundle) const;

  // Verifies and unpacks a downloaded archive beside the others; nothing runs it yet. A bundle that
  // is there already is verified instead. `archive_sha256`: must match if given.
  base::Result<ArchiveInfo> Install(const std::string& archive,
                                    const base::Ed25519PublicKey* publisher,
                                    const DeviceTraits& device,
                                    const std::optional<std::string>& archive_sha256);
  // The same from a folder (a device's first bundle, named in its configuration).
  base::Result<std::string> InstallFolder(const std::string& bundle_folder,
                                          const DeviceTraits& device);

  // Makes an installed bundle current; what was current becomes previous. The first is golden too.
  base::Status Activate(const std::string& bundle);
  // Previous becomes current (and the other way round); without a previous, golden does.
  // kNotFound if there is nothing to go back to.
  base::Result<std::string> Rollback();

  // Call before current is loaded at a start of the program: counts the start as failed until
  // StartedHealthy. After three failures in a row it answers with previous, then with golden, as
  // the new current. kNotFound if there is none at all.
  base::Result<std::string> BeginStart();
  // The program ran its first samples: forget failed starts. Writes only if something changes.
  base::Status StartedHealthy();

  // Removes bundles no slot names.
  base::Status CollectGarbage();

 private:
  Slots(base::FileSystem& fs, std::string folder, state::TwoCopyRecord record, State state);
  base::Status Save(const State& state);
  base::Status Keep(const std::string& bundle);

  base::FileSystem* fs_;
  std::string folder_;
  state::TwoCopyRecord record_;
  State state_;
};

}  // namespace tinylcm::model
