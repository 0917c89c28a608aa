#include "tinysphere/command/objects.h"

#include <cstdlib>
#include <utility>

#include "base/text.h"
#include "tinysphere/outbound/http_client.h"
#include "tinysphere/platform/folder/folder_object_store.h"
#include "tinysphere/platform/posix/erase_range.h"
#include "tinysphere/platform/s3/location.h"
#include "tinysphere/platform/s3/s3_object_store.h"
#include "tinysphere/store/packed_objects.h"

namespace tinysphere::command {

using base::Error;
using base::ErrorCode;

namespace {

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

base::Result<Objects> OpenS3(base::FileSystem& fs, base::Clock& clock, const std::string& data,
                             const std::string& option, bool is_server) {
  s3::Options options{.sweeps = is_server, .makes_buckets = is_server};
  ASSIGN_OR_RETURN(options.location, s3::ParseLocation(option, FromEnvironment));
  options.spool = base::JoinPath(data, "objects-spool");
  ASSIGN_OR_RETURN(auto http, outbound::MakeHttpClient({.ca_file = options.location.ca_file}));
  ASSIGN_OR_RETURN(auto store, s3::OpenObjectStore(fs, clock, std::move(http), options));
  return Objects{.store = std::move(store), .work_folder = data};
}

}  // namespace

base::Result<Objects> OpenObjects(base::FileSystem& fs, base::Clock& clock, const std::string& data,
                                  const std::string& option, bool is_server) {
  if (option.starts_with("s3://")) return OpenS3(fs, clock, data, option, is_server);
  std::string root = base::JoinPath(data, "objects");
  if (!option.empty()) {
    if (!option.starts_with("file:") || option.size() == 5) {
      return Error{ErrorCode::kUnsupported,
                   base::StrCat("--objects ", option.substr(0, option.find('?')),
                                ": file:DIR or s3://PREFIX is wanted")};
    }
    root = option.substr(5);
  }
  RETURN_IF_ERROR(fs.CreateDirectories(root));
  ASSIGN_OR_RETURN(auto store, folder::OpenObjectStore(fs, {.root = root, .sweeps = is_server}));
  store::PackOptions packs;
  packs.folder = base::JoinPath(root, "packs");
  ASSIGN_OR_RETURN(store,
                   store::PackObjects(std::move(store), fs, clock, posix::EraseRange, packs));
  return Objects{.store = std::move(store), .work_folder = root};
}

}  // namespace tinysphere::command
