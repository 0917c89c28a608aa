#include "tools/tinyscene/export.h"

#include "base/text.h"
#include "tools/tinyscene/sensor_array.h"

namespace tinyscene {
namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;

std::string Padded(std::uint32_t number, std::size_t width) {
  std::string text = std::to_string(number);
  if (text.size() < width) text.insert(0, width - text.size(), '0');
  return text;
}

base::Status WriteFrames(base::FileSystem& fs, Drawer& drawer, const std::vector<Shot>& shots,
                         const std::string& folder, const Progress& progress) {
  for (const Shot& shot : shots) {
    RETURN_IF_ERROR(fs.CreateDirectories(base::JoinPath(folder, std::to_string(shot.label))));
  }
  for (std::size_t i = 0; i < shots.size(); ++i) {
    const Shot& shot = shots[i];
    ASSIGN_OR_RETURN(const base::ByteView jpeg, drawer.Draw(shot));
    const std::string name =
        StrCat(shot.label, '/', Padded(shot.number, 6), "-d", Padded(shot.digit, 4), ".jpg");
    ASSIGN_OR_RETURN(const auto file,
                     fs.Create(base::JoinPath(folder, name), base::FileSystem::Mode::kTruncate));
    RETURN_IF_ERROR(file->Append(jpeg));
    RETURN_IF_ERROR(file->Close());
    if (!progress(i + 1, shots.size())) return Error{ErrorCode::kUnavailable, "interrupted"};
  }
  return {};
}

}  // namespace

std::vector<Shot> PlanExport(const Digits& digits, const Settings& settings,
                             std::uint32_t per_class, std::optional<int> unseen_class) {
  std::vector<Shot> shots;
  for (std::uint32_t number = 0; number < per_class * kClasses; ++number) {
    const int label = static_cast<int>(number % kClasses);
    if (label == unseen_class) continue;
    const std::vector<std::uint32_t>& ids = digits.Ids(settings.pool, label);
    shots.push_back({.number = number,
                     .digit = ids[(number / kClasses) % ids.size()],
                     .label = label,
                     .pool = settings.pool,
                     .drifts = settings.drifts,
                     .dropped = false});
  }
  return shots;
}

base::Status ExportFrames(base::FileSystem& fs, Drawer& drawer, const std::vector<Shot>& shots,
                          const std::string& folder, const Progress& progress) {
  if (base::Exists(fs, folder)) {
    return Error{ErrorCode::kInvalidArgument, StrCat(folder, ": is there already")};
  }
  const std::string partial = folder + ".partial";
  RETURN_IF_ERROR(base::RemoveTree(fs, partial));
  const base::Status written = WriteFrames(fs, drawer, shots, partial, progress);
  if (!written.ok()) {
    static_cast<void>(base::RemoveTree(fs, partial));
    return written.error().Within(folder);
  }
  return fs.Rename(partial, folder);
}

base::Status ExportRows(base::FileSystem& fs, std::uint64_t seed, const Digits& digits,
                        const std::vector<Shot>& shots, const std::string& path,
                        const Progress& progress) {
  std::string text = LabelledRowHeader();
  for (std::size_t i = 0; i < shots.size(); ++i) {
    const Shot& shot = shots[i];
    text += LabelledRowLine(ReadArray(seed, shot.number, digits.digit(shot.digit), shot.drifts),
                            shot.label);
    if (!progress(i + 1, shots.size())) return Error{ErrorCode::kUnavailable, "interrupted"};
  }
  return base::WriteFileDurably(fs, path, base::AsBytes(text));
}

}  // namespace tinyscene
