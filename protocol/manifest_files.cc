#include "protocol/manifest_files.h"

#include <set>

#include "protocol/identifiers.h"

namespace protocol {

using base::Json;
using base::JsonReader;

Json FilesToJson(const std::vector<NamedFile>& files, std::string_view extra) {
  Json list = Json::MakeArray();
  for (const NamedFile& file : files) {
    list.Append(
        Json::MakeObject({{"path", file.path},
                          {std::string(extra), extra == "role" ? file.role : file.media_type},
                          {"bytes", file.bytes},
                          {"sha256", file.sha256}}));
  }
  return list;
}

std::vector<NamedFile> ReadFilesList(JsonReader& reader, std::string_view extra,
                                     std::size_t files_max) {
  std::vector<NamedFile> files;
  std::set<std::string> paths;
  for (JsonReader& entry : reader.Array("files", files_max)) {
    NamedFile file;
    file.path = entry.String("path");
    file.bytes = static_cast<std::uint64_t>(entry.Int("bytes", {.min = 0}));
    file.sha256 = entry.String("sha256");
    std::string& text = extra == "role" ? file.role : file.media_type;
    text = entry.String(extra, {.bytes_max = 100});
    if (!reader.status().ok()) break;
    if (!IsSafePath(file.path) || file.path == kManifestPath || file.path == kSignaturePath) {
      entry.Refuse("path", "not allowed");
    }
    if (!IsSha256Hex(file.sha256)) entry.Refuse("sha256", "not 64 lower-case hex digits");
    if (!paths.insert(file.path).second) entry.Refuse("path", "there twice");
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace protocol
