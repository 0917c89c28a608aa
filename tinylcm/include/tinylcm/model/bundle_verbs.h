// What `tinylcm bundle make|sign|verify|show` and `keygen` do, without the command line. Each reads
// or writes files and returns a JSON value to print.

#pragma once

#include <string>

#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"

namespace tinylcm::model {

struct BundleMakeOptions {
  std::string folder;    // A bundle's folder, as fit wrote it.
  std::string out;       // FILE.tar.zst
  std::string key_file;  // The publisher's private key; empty: unsigned.
};
base::Result<base::Json> BundleMake(base::FileSystem& fs, const BundleMakeOptions& options);

struct BundleSignOptions {
  std::string path;  // A folder or an archive; the signature is put in.
  std::string key_file;
};
base::Result<base::Json> BundleSign(base::FileSystem& fs, const BundleSignOptions& options);

struct BundleVerifyOptions {
  std::string path;             // A folder or an archive.
  std::string public_key_file;  // Empty: digests only.
};
base::Result<base::Json> BundleVerify(base::FileSystem& fs, const BundleVerifyOptions& options);

struct BundleShowOptions {
  std::string path;
};
base::Result<base::Json> BundleShow(base::FileSystem& fs, const BundleShowOptions& options);

// Writes <prefix>.key (mode 0600) and <prefix>.pub; refuses to replace a key. kConflict.
struct KeygenOptions {
  std::string prefix;
};
base::Result<base::Json> Keygen(base::FileSystem& fs, const KeygenOptions& options);

}  // namespace tinylcm::model
