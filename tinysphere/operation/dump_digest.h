// The SHA-256 over a dump: of each content its name, its size and its bytes, in their order.

#pragma once

#include <string>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/operation/dump.h"

namespace tinysphere::operation {

class DumpDigest {
 public:
  void Begin(const DumpEntry& entry) {
    hash_.Update(base::AsBytes(base::StrCat(entry.name, "\n", entry.bytes, "\n")));
  }
  void Append(base::ByteView bytes) { hash_.Update(bytes); }
  std::string Finish() { return base::HexEncode(hash_.Finish()); }

 private:
  base::Sha256 hash_;
};

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kEndName = "end.json";
inline constexpr std::string_view kTablesFolder = "tables/";
inline constexpr std::string_view kKeysFolder = "keys/";
inline constexpr std::string_view kObjectsFolder = "objects/";

}  // namespace tinysphere::operation
