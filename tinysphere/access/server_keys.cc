#include "tinysphere/access/server_keys.h"

namespace tinysphere::access {

using base::Error;
using base::ErrorCode;

base::Result<ServerKeys> LoadOrMakeServerKeys(base::FileSystem& fs, const std::string& folder) {
  const std::string key_path = base::JoinPath(folder, "server.key");
  const std::string nonce_path = base::JoinPath(folder, "nonce.key");
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  if (!base::Exists(fs, key_path)) {
    const base::Ed25519Key key = base::Ed25519Key::Generate();
    RETURN_IF_ERROR(
        base::WriteFileDurably(fs, base::JoinPath(folder, "server.pub"),
                               base::AsBytes(base::WritePublicKeyText(key.public_key()))));
    RETURN_IF_ERROR(base::WriteFileDurably(
        fs, key_path, base::AsBytes(base::WritePrivateKeyText(key)), /*owner_only=*/true));
  }
  if (!base::Exists(fs, nonce_path)) {
    const std::string text = base::HexEncode(base::RandomBytes(32)) + "\n";
    RETURN_IF_ERROR(base::WriteFileDurably(fs, nonce_path, base::AsBytes(text),
                                           /*owner_only=*/true));
  }
  ASSIGN_OR_RETURN(const std::string key_text, base::ReadTextFile(fs, key_path, 4096));
  base::Result<base::Ed25519Key> key = base::ParsePrivateKeyText(key_text);
  if (!key.ok()) return key.error().Within(key_path);
  ASSIGN_OR_RETURN(std::string nonce_text, base::ReadTextFile(fs, nonce_path, 4096));
  while (!nonce_text.empty() && nonce_text.back() == '\n') nonce_text.pop_back();
  base::Result<base::Bytes> nonce_key = base::HexDecode(nonce_text);
  if (!nonce_key.ok() || nonce_key->size() != 32) {
    return Error{ErrorCode::kCorrupt, nonce_path + ": is not 64 hex digits"};
  }
  return ServerKeys{.signing_key = std::move(key).value(),
                    .nonce_key = std::move(nonce_key).value()};
}

}  // namespace tinysphere::access
