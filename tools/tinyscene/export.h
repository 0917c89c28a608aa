// Export: labelled material, for fit and for training: as many shots of each class as asked for,
// the pool's digits of the class in turn.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "tools/tinyscene/drawer.h"
#include "tools/tinyscene/shot.h"

namespace tinyscene {

// Shot n shows class n mod 10, so that any beginning of the list is balanced too.
std::vector<Shot> PlanExport(const Digits& digits, const Settings& settings,
                             std::uint32_t per_class, std::optional<int> unseen_class);

// Told how many of how many are done; answers whether to go on.
using Progress = std::function<bool(std::size_t done, std::size_t of)>;

// folder/<label>/<frame, 6 digits>-d<digit id, 4 digits>.jpg. The folder appears when it is
// complete. Fails with kInvalidArgument if it is there already.
base::Status ExportFrames(base::FileSystem& fs, Drawer& drawer, const std::vector<Shot>& shots,
                          const std::string& folder, const Progress& progress);

// CSV with the label last. The file appears when it is complete.
base::Status ExportRows(base::FileSystem& fs, std::uint64_t seed, const Digits& digits,
                        const std::vector<Shot>& shots, const std::string& path,
                        const Progress& progress);

}  // namespace tinyscene
