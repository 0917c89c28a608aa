// The `files` list that package and bundle manifests share.

#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "protocol/signed_archive.h"

namespace protocol {

// `extra` is the member besides path, bytes and sha256: "media_type" or "role".
base::Json FilesToJson(const std::vector<NamedFile>& files, std::string_view extra);

// Refuses unsafe paths, the two manifest entries themselves, a path twice and malformed digests.
std::vector<NamedFile> ReadFilesList(base::JsonReader& reader, std::string_view extra,
                                     std::size_t files_max);

}  // namespace protocol
