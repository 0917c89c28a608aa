// A dump as one .tar.zst, written and read as a stream (libarchive).

#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/operation/dump.h"

namespace tinysphere::libarchive {

// `fs` must outlive them. The file must not be there yet.
base::Result<std::unique_ptr<operation::DumpWriter>> WriteDumpArchive(base::FileSystem& fs,
                                                                      const std::string& path);
base::Result<std::unique_ptr<operation::DumpReader>> ReadDumpArchive(base::FileSystem& fs,
                                                                     const std::string& path);

}  // namespace tinysphere::libarchive
