#include "tinylcm/source/folder_watch.h"

#include <algorithm>
#include <utility>

namespace tinylcm::source {

namespace {

constexpr base::Duration kLookEvery{1'000};

}  // namespace

PollingWatch::PollingWatch(base::FileSystem& fs, base::Clock& clock, const std::string& folder)
    : fs_(fs), clock_(clock), folder_(folder) {
  std::vector<std::string> names;
  Look(names, true);
  next_look_ = clock_.Uptime() + kLookEvery;
}

base::Status PollingWatch::Take(base::Duration wait, std::vector<std::string>& names) {
  const base::Duration now = clock_.Uptime();
  if (now < next_look_) clock_.SleepUntil(std::min(now + wait, next_look_));
  if (clock_.Uptime() < next_look_) return {};
  next_look_ = clock_.Uptime() + kLookEvery;
  Look(names, false);
  return {};
}

void PollingWatch::Look(std::vector<std::string>& names, bool is_first) {
  const auto files = fs_.List(folder_);
  if (!files.ok()) return;  // Not there now; perhaps later.
  std::map<std::string, Known> seen;
  for (const base::FileInfo& file : *files) {
    if (file.is_directory) continue;
    Known now{file.bytes, file.modified, is_first};
    if (const auto before = known_.find(file.name); before != known_.end() &&
                                                    before->second.bytes == now.bytes &&
                                                    before->second.modified == now.modified) {
      if (!before->second.is_given) names.push_back(file.name);
      now.is_given = true;
    }
    seen.emplace(file.name, now);
  }
  known_ = std::move(seen);
}

}  // namespace tinylcm::source
