// Objects: the option --objects made an object store: a folder, or an S3 store.

#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::command {

struct Objects {
  std::unique_ptr<store::ObjectStore> store;
  // Of what is under way (bodies that arrive, partial uploads, replays). On the objects' own file
  // system where they lie on one: taking a body over is a rename then.
  std::string work_folder;
};

// `option`: "" for DATA/objects, "file:DIR", or
// "s3://PREFIX[?endpoint=..&region=..&style=..&ca=..]" with the credentials in the environment
// (platform/s3/location.h). `is_server`: sweeps up what an earlier process left, and makes the
// buckets that are missing.
base::Result<Objects> OpenObjects(base::FileSystem& fs, base::Clock& clock, const std::string& data,
                                  const std::string& option, bool is_server);

}  // namespace tinysphere::command
