#include "tinysphere/ingest/uploads.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "protocol/identifiers.h"

namespace tinysphere::ingest {

using base::Error;
using base::ErrorCode;
using base::Json;

namespace {

constexpr std::string_view kMetaEnd = ".json";
constexpr std::string_view kPartEnd = ".part";
constexpr std::size_t kBlock = 256u << 10;
constexpr std::uint64_t kFreeBytesMin = 64ull << 20;  // As in the object store.

http::Response WithOffset(int status, std::uint64_t offset) {
  http::Response response;
  response.status = status;
  response.headers.Set("Upload-Offset", std::to_string(offset));
  return response;
}

base::Status OwnPackage(const http::Request& request) {
  return CheckOwnPackage(request.Param("package_id"), request.identity.id);
}

}  // namespace

std::string Uploads::MetaPath(const std::string& package_id) const {
  return base::JoinPath(folder_, package_id + std::string(kMetaEnd));
}

std::string Uploads::PartPath(const std::string& package_id) const {
  return base::JoinPath(folder_, package_id + std::string(kPartEnd));
}

std::mutex& Uploads::LockFor(const std::string& package_id) {
  return locks_[std::hash<std::string>{}(package_id) % locks_.size()];
}

base::Status Uploads::Open() {
  RETURN_IF_ERROR(fs_.CreateDirectories(folder_));
  return Sweep();
}

base::Status Uploads::Sweep() {
  ASSIGN_OR_RETURN(const auto files, fs_.List(folder_));
  const base::Time now = clock_.Now();
  for (const base::FileInfo& file : files) {
    if (now - file.modified < kUploadLife) continue;
    const base::Status removed = fs_.Remove(base::JoinPath(folder_, file.name));
    if (!removed.ok() && removed.error().code != ErrorCode::kNotFound) return removed;
  }
  return {};
}

// A package that is being sent while this ends it starts at 0 again.
base::Status Uploads::MakeRoomFor(const std::string& device_id) {
  ASSIGN_OR_RETURN(auto files, fs_.List(folder_));
  std::erase_if(files, [&](const base::FileInfo& file) {
    return !file.name.starts_with(device_id + "-") || !file.name.ends_with(kMetaEnd);
  });
  // Stable: what came in the same millisecond stays in the order of its seq.
  std::stable_sort(
      files.begin(), files.end(),
      [](const base::FileInfo& a, const base::FileInfo& b) { return a.modified < b.modified; });
  for (std::size_t i = 0; i + kUploadsOpenMax <= files.size(); ++i) {
    Forget(files[i].name.substr(0, files[i].name.size() - kMetaEnd.size()));
  }
  return {};
}

base::Result<Uploads::Announced> Uploads::ReadAnnounced(const std::string& package_id,
                                                        const std::string& device_id) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs_, MetaPath(package_id), 4096));
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text));
  base::JsonReader reader(json, "upload");
  Announced announced;
  announced.device_id = reader.String("device_id");
  announced.bytes = static_cast<std::uint64_t>(reader.Int("bytes", {.min = 1}));
  announced.sha256 = reader.String("sha256");
  RETURN_IF_ERROR(reader.status());
  if (announced.device_id != device_id) {
    return Error{ErrorCode::kNotFound, "no upload of " + package_id};
  }
  return announced;
}

base::Result<std::uint64_t> Uploads::BytesSoFar(const std::string& package_id) {
  const auto part = fs_.Stat(PartPath(package_id));
  if (part.ok()) return part->bytes;
  if (part.error().code == ErrorCode::kNotFound) return std::uint64_t{0};
  return part.error();
}

void Uploads::Forget(const std::string& package_id) {
  // What stays behind is swept at a later start.
  (void)fs_.Remove(PartPath(package_id)).ok();
  (void)fs_.Remove(MetaPath(package_id)).ok();
}

base::Result<http::Response> Uploads::Create(const http::Request& request) {
  RETURN_IF_ERROR(OwnPackage(request));
  const std::string& package_id = request.Param("package_id");
  const std::string& device_id = request.identity.id;
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "upload");
  const auto bytes = static_cast<std::uint64_t>(reader.Int("bytes", {.min = 1}));
  const std::string sha256 = reader.String("sha256");
  if (!protocol::IsSha256Hex(sha256))
    reader.Refuse("sha256", "64 lower-case hex digits are wanted");
  RETURN_IF_ERROR(reader.status());
  const Arrival arrival{.device_id = device_id,
                        .package_id = package_id,
                        .path = PartPath(package_id),
                        .bytes = bytes,
                        .sha256 = sha256,
                        .key = std::nullopt};
  if (bytes > kPackageBytesMax) {
    return receiver_.Refuse(
        arrival, {ErrorCode::kExhausted,
                  base::StrCat("a package may have ", kPackageBytesMax, " bytes at most")});
  }
  ASSIGN_OR_RETURN(auto answered, receiver_.Answered(device_id, package_id, sha256));
  if (answered) return std::move(*answered);

  const std::lock_guard lock(LockFor(package_id));
  const auto before = ReadAnnounced(package_id, device_id);
  if (!before.ok() || before->sha256 != sha256 || before->bytes != bytes) {
    Forget(package_id);
    RETURN_IF_ERROR(MakeRoomFor(device_id));
    const std::string meta =
        Json::MakeObject({{"device_id", device_id}, {"bytes", bytes}, {"sha256", sha256}}).Write();
    RETURN_IF_ERROR(base::WriteFileDurably(fs_, MetaPath(package_id), base::AsBytes(meta)));
  }
  ASSIGN_OR_RETURN(const std::uint64_t offset, BytesSoFar(package_id));
  http::Response response = WithOffset(201, offset);
  response.headers.Set("Location", base::StrCat("/api/v1/packages/", package_id, "/upload"));
  return response;
}

base::Result<http::Response> Uploads::Offset(const http::Request& request) {
  RETURN_IF_ERROR(OwnPackage(request));
  const std::string& package_id = request.Param("package_id");
  const std::lock_guard lock(LockFor(package_id));
  RETURN_IF_ERROR(ReadAnnounced(package_id, request.identity.id));
  ASSIGN_OR_RETURN(const std::uint64_t offset, BytesSoFar(package_id));
  return WithOffset(204, offset);
}

base::Status Uploads::AppendBody(const std::string& package_id, const http::Body& body) {
  ASSIGN_OR_RETURN(const std::uint64_t free_bytes, fs_.FreeBytes(folder_));
  if (free_bytes < kFreeBytesMin + body.bytes()) {
    return Error{ErrorCode::kUnavailable,
                 base::StrCat("upload: only ", free_bytes, " bytes are free on the server")};
  }
  ASSIGN_OR_RETURN(const auto part,
                   fs_.Create(PartPath(package_id), base::FileSystem::Mode::kAppend));
  if (!body.is_spooled()) {
    RETURN_IF_ERROR(part->Append(base::AsBytes(body.text())));
  } else {
    ASSIGN_OR_RETURN(const auto file, fs_.Open(body.path()));
    base::Bytes block(kBlock);
    for (std::uint64_t offset = 0;;) {
      ASSIGN_OR_RETURN(const std::size_t count, file->ReadAt(offset, block));
      if (count == 0) break;
      RETURN_IF_ERROR(part->Append({block.data(), count}));
      offset += count;
    }
  }
  RETURN_IF_ERROR(part->Sync());
  RETURN_IF_ERROR(part->Close());
  return fs_.SyncDirectory(folder_);
}

base::Result<http::Response> Uploads::Append(http::Request& request) {
  RETURN_IF_ERROR(OwnPackage(request));
  const std::string& package_id = request.Param("package_id");
  const std::string& device_id = request.identity.id;
  const auto stated = base::ParseInt(request.headers.Get("upload-offset"));
  const std::string_view complete = request.headers.Get("upload-complete");
  if (!stated.ok() || *stated < 0 || (complete != "?0" && complete != "?1")) {
    return Error{ErrorCode::kInvalidArgument,
                 "upload: Upload-Offset and Upload-Complete (?0 or ?1) are wanted"};
  }
  const std::lock_guard lock(LockFor(package_id));
  const auto announced = ReadAnnounced(package_id, device_id);
  if (!announced.ok()) {
    // A last piece whose answer was lost: the upload is over, the package is here.
    return Error{ErrorCode::kNotFound, "no upload of " + package_id + "; create it"};
  }
  ASSIGN_OR_RETURN(const std::uint64_t offset, BytesSoFar(package_id));
  if (static_cast<std::uint64_t>(*stated) != offset) return WithOffset(409, offset);
  const std::uint64_t now_bytes = offset + request.body.bytes();
  if (now_bytes > announced->bytes) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("upload: ", now_bytes, " bytes, announced were ", announced->bytes)};
  }
  if (request.body.bytes() > 0) RETURN_IF_ERROR(AppendBody(package_id, request.body));
  if (complete == "?0") return WithOffset(204, now_bytes);

  ASSIGN_OR_RETURN(const auto part, fs_.Open(PartPath(package_id)));
  ASSIGN_OR_RETURN(const base::Sha256Digest digest, base::Sha256OfFile(*part));
  const std::string sha256 = base::HexEncode(digest);
  if (now_bytes != announced->bytes || sha256 != announced->sha256) {
    Forget(package_id);
    return Error{ErrorCode::kInvalidArgument,
                 "upload: the whole is not what was announced; create it anew"};
  }
  auto answer = receiver_.Take({.device_id = device_id,
                                .package_id = package_id,
                                .path = PartPath(package_id),
                                .bytes = now_bytes,
                                .sha256 = sha256,
                                .key = std::nullopt});
  if (answer.ok()) Forget(package_id);
  return answer;
}

}  // namespace tinysphere::ingest
