#include "tinysphere/store/object_store.h"

#include "base/text.h"

namespace tinysphere::store {

using base::Error;
using base::ErrorCode;

base::Status CheckObjectKey(std::string_view key) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("object key: ", why)};
  };
  if (key.empty() || key.size() > 512) return refuse("must have 1 to 512 bytes");
  for (const char c : key) {
    const bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '=' || c == '-' ||
                         c == '/';
    if (!is_fine) return refuse("holds a character outside [A-Za-z0-9._=/-]");
  }
  const std::vector<std::string_view> parts = base::Split(key, '/');
  if (parts.size() < 2) return refuse("needs a bucket and a name");
  for (const std::string_view part : parts) {
    if (part.empty() || part == "." || part == "..") {
      return refuse("holds an empty part, \".\" or \"..\"");
    }
    // File systems stop at 255 bytes a name.
    if (part.size() > 200) return refuse("holds a part of more than 200 bytes");
  }
  return {};
}

base::Status ObjectStore::DeleteAll(std::span<const std::string> keys) {
  for (const std::string& key : keys) RETURN_IF_ERROR(Delete(key));
  return {};
}

base::Result<std::optional<std::string>> ObjectStore::Presign(const std::string& key, Presigned,
                                                              base::Duration) {
  RETURN_IF_ERROR(CheckObjectKey(key));
  return std::optional<std::string>();
}

base::Status ObjectStore::PutBytes(const std::string& key, base::ByteView bytes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, Put(key));
  RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

base::Result<std::string> ObjectStore::Keep(const std::string& key, base::ByteView bytes) {
  RETURN_IF_ERROR(PutBytes(key, bytes));
  return key;
}

base::Result<base::Bytes> ObjectStore::GetBytes(const std::string& key, std::uint64_t bytes_max) {
  ASSIGN_OR_RETURN(const std::unique_ptr<base::ReadableFile> file, Get(key));
  if (file->size() > bytes_max) {
    return Error{ErrorCode::kExhausted,
                 base::StrCat("object ", key, ": ", file->size(), " bytes, more than ", bytes_max)};
  }
  base::Bytes bytes(file->size());
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(filled, std::span(bytes).subspan(filled)));
    if (got == 0) {
      return Error{ErrorCode::kCorrupt, base::StrCat("object ", key, ": shorter than its size")};
    }
    filled += got;
  }
  return bytes;
}

}  // namespace tinysphere::store
