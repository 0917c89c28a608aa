// FolderWatch: which files of a folder have just become whole.
//
//   writer: open, write, write, close ─▶ whole        writer: write elsewhere, rename in ─▶ whole

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinylcm::source {

// One thread asks.
class FolderWatch {
 public:
  virtual ~FolderWatch() = default;
  // Waits at most `wait` for files that became whole since the last call and adds their names (not
  // paths) to `names`, in order. An Error: it sees nothing any more, the folder is gone.
  virtual base::Status Take(base::Duration wait, std::vector<std::string>& names) = 0;
  // Whether the system could not note every file since this was last asked.
  virtual bool TakeOverflow() { return false; }
};

// By inotify: closed after writing, or moved in. Costs nothing while nothing happens. kUnavailable
// where the system has none left to give.
base::Result<std::unique_ptr<FolderWatch>> WatchFolder(const std::string& folder);

// By looking once a second (of uptime): a file is whole when two looks find it the same. For file
// systems that tell nobody, such as network ones. What is there at first is not new.
class PollingWatch final : public FolderWatch {
 public:
  // `fs` and `clock` must outlive it.
  PollingWatch(base::FileSystem& fs, base::Clock& clock, const std::string& folder);
  base::Status Take(base::Duration wait, std::vector<std::string>& names) override;

 private:
  struct Known {
    std::uint64_t bytes = 0;
    base::Time modified{};
    bool is_given = false;
  };
  void Look(std::vector<std::string>& names, bool is_first);

  base::FileSystem& fs_;
  base::Clock& clock_;
  std::string folder_;
  std::map<std::string, Known> known_;  // As many as lie in the folder.
  base::Duration next_look_{0};
};

}  // namespace tinylcm::source
