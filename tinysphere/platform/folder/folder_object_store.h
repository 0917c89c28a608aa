// Objects as files below a folder: <root>/objects/<key>, written in <root>/tmp first.
//
// Put returns when the file and every folder on the way to it have been flushed.

#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::folder {

struct Options {
  std::string root;
  std::uint64_t free_bytes_min = 64ull << 20;  // Below it nothing is accepted (kExhausted).
  bool sweeps = true;  // Removes what an earlier process left unfinished. Off beside a server.
};

// `fs` must outlive the store.
base::Result<std::unique_ptr<store::ObjectStore>> OpenObjectStore(base::FileSystem& fs,
                                                                  const Options& options);

}  // namespace tinysphere::folder
