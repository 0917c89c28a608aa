// A bundle as one file (.tar.zst): manifest.json, manifest.sig, then the files the manifest names,
// in its order. The signature is the publisher's Ed25519 over "tinylcm-bundle/1\n" and the exact
// bytes of manifest.json.
//
// Reading trusts nothing before its turn: the signature is checked before any further entry is
// decompressed, only named files are accepted, only up to their stated sizes, and their digests are
// compared while they stream to disk.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::model {

struct ArchiveInfo {
  std::string bundle;          // Hex SHA-256 of manifest.json.
  std::string archive_sha256;  // Of the whole file.
  std::uint64_t bytes = 0;
  protocol::BundleManifest manifest;
  bool is_signed = false;  // There is a manifest.sig, by whomever.
};

// Packs a verified folder. With a key the signature is made and written; without one, the folder's
// manifest.sig is packed if there is one. The same folder and key give the same bytes.
base::Result<ArchiveInfo> MakeArchive(base::FileSystem& fs, const std::string& folder,
                                      const base::Ed25519Key* publisher,
                                      const std::string& archive);

// Adds the signature to an archive or a folder; an archive is rewritten whole beside itself.
base::Status SignFolder(base::FileSystem& fs, const std::string& folder,
                        const base::Ed25519Key& publisher);
base::Result<ArchiveInfo> SignArchive(base::FileSystem& fs, const std::string& archive,
                                      const base::Ed25519Key& publisher);

// Reads the whole archive and checks everything; with `publisher`, the signature too
// (kPermissionDenied: "not signed", "signed by another key").
base::Result<ArchiveInfo> VerifyArchive(base::FileSystem& fs, const std::string& archive,
                                        const base::Ed25519PublicKey* publisher);

// Unpacks into `folder` (made; must not exist) while verifying. On an error nothing is left there.
// Without `publisher` the signature is not asked for (tests, a local file a person names).
base::Result<ArchiveInfo> UnpackArchive(base::FileSystem& fs, const std::string& archive,
                                        const std::string& folder,
                                        const base::Ed25519PublicKey* publisher,
                                        const DeviceTraits& device);

}  // namespace tinylcm::model
