#include "tinysphere/command/dump_verbs.h"

#include <cstdio>
#include <memory>

#include "base/folder_lock.h"
#include "base/private_folder.h"
#include "base/text.h"
#include "tinysphere/operation/export.h"
#include "tinysphere/operation/import.h"
#include "tinysphere/platform/libarchive/dump_archive.h"

namespace tinysphere::command {

using base::Error;
using base::ErrorCode;

namespace {

bool IsArchive(const std::string& path) { return path.ends_with(".tar.zst"); }

void Tell(const std::string& what) { std::fprintf(stderr, "tinysphere: %s\n", what.c_str()); }

void Print(const operation::Moved& moved, const std::string& what, bool as_json) {
  if (as_json) {
    std::printf("%s\n", moved.ToJson().Write().c_str());
    return;
  }
  std::printf(
      "%s: %s\n", what.c_str(),
      base::StrCat(moved.all_rows(), " rows of ", moved.rows.size(), " tables, ", moved.objects,
                   " objects (", moved.object_bytes, " bytes), ", moved.keys, " key files")
          .c_str());
  if (moved.repaired > 0) {
    std::printf("%s\n", base::StrCat(moved.repaired,
                                     " texts held bytes that are no text; U+FFFD stands for them")
                            .c_str());
  }
  if (moved.vanished > 0) {
    std::printf("%s\n", base::StrCat(moved.vanished, " objects were deleted meanwhile").c_str());
  }
}

}  // namespace

base::Status ExportInstallation(const Place& place, const std::string& to, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, /*may_make=*/false, /*is_server=*/false));
  base::FileSystem& fs = installation->fs;
  ASSIGN_OR_RETURN(const auto writer, IsArchive(to) ? libarchive::WriteDumpArchive(fs, to)
                                                    : operation::WriteDumpFolder(fs, to));
  ASSIGN_OR_RETURN(const operation::Moved moved,
                   operation::Export({.database = *installation->database,
                                      .objects = *installation->objects,
                                      .fs = fs,
                                      .clock = installation->clock,
                                      .key_folder = installation->key_folder()},
                                     *writer, Tell));
  Print(moved, to, as_json);
  return {};
}

base::Status ImportInstallation(const Place& place, const std::string& from, bool as_json) {
  base::FileSystem& fs = base::SystemFileSystem();
  RETURN_IF_ERROR(base::MakePrivateFolder(place.data));
  const auto lock = base::FolderLock::Take(place.data, "server");
  if (!lock.ok()) return Error{ErrorCode::kUnavailable, lock.error().message};
  Place target = place;
  target.is_importing = true;
  std::unique_ptr<Installation> installation;
  ASSIGN_OR_RETURN(
      const operation::Moved moved,
      operation::Import(fs, base::SystemClock(),
                        {.data = place.data,
                         .open_dump =
                             [&] {
                               return IsArchive(from) ? libarchive::ReadDumpArchive(fs, from)
                                                      : operation::ReadDumpFolder(fs, from);
                             },
                         .open_target = [&]() -> base::Result<operation::ImportTarget> {
                           // As the server would, whose lock this holds: it makes the buckets.
                           ASSIGN_OR_RETURN(installation,
                                            Open(target, /*may_make=*/true, /*is_server=*/true));
                           return operation::ImportTarget{.database = *installation->database,
                                                          .objects = *installation->objects};
                         }},
                        Tell));
  Print(moved, from, as_json);
  return {};
}

}  // namespace tinysphere::command
