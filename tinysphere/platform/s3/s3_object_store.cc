#include "tinysphere/platform/s3/s3_object_store.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/platform/s3/client.h"
#include "tinysphere/platform/s3/xml.h"
#include "tinysphere/store/buckets.h"

namespace tinysphere::s3 {

using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;
using outbound::Answer;

namespace {

constexpr std::size_t kHeldBytesMax = 256u << 10;  // Of a content being written; more is spooled.
constexpr std::size_t kFirstBlockBytes = 256u << 10;  // Small contents take one call.
constexpr std::size_t kBlockBytes = 1u << 20;         // Read ahead of who reads on.
constexpr std::size_t kListMax = 1000;                // What stores give and take at once.
constexpr std::size_t kDeleteMax = 1000;
constexpr base::Duration kPresignedLifeMax{7LL * 24 * 60 * 60 * 1000};

// Where a key lies.
struct Place {
  std::string bucket;
  std::string key;
};

// DeleteObjects wants it (RFC 1864), as a guard against broken bodies.
std::string ContentMd5(std::string_view body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  CHECK(EVP_Digest(body.data(), body.size(), digest.data(), &size, EVP_md5(), nullptr) == 1);
  return base::Base64Encode({digest.data(), size});
}

Result<std::string> Sha256OfStretch(const outbound::Stretch& stretch) {
  base::Sha256 sha256;
  base::Bytes block(256u << 10);
  std::uint64_t done = 0;
  while (done < stretch.bytes) {
    const std::size_t room =
        static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), stretch.bytes - done));
    ASSIGN_OR_RETURN(const std::size_t got,
                     stretch.file->ReadAt(stretch.offset + done, std::span(block).first(room)));
    if (got == 0) return Error{ErrorCode::kCorrupt, "the file ends before its size"};
    sha256.Update({block.data(), got});
    done += got;
  }
  return base::HexEncode(sha256.Finish());
}

// "bytes 0-9/4711" -> 4711.
Result<std::uint64_t> TotalOf(std::string_view content_range) {
  const std::size_t slash = content_range.find('/');
  const auto total =
      base::ParseInt(slash == std::string_view::npos ? "" : content_range.substr(slash + 1));
  if (total.ok() && *total >= 0) return static_cast<std::uint64_t>(*total);
  return Error{ErrorCode::kUnavailable, StrCat("the answer's Content-Range '",
                                               content_range.substr(0, 100), "' has no size")};
}

// A content as it was when it was opened, read in ranges.
class S3File final : public base::ReadableFile {
 public:
  S3File(Client& client, std::string name, Place place)
      : client_(client), name_(std::move(name)), place_(std::move(place)) {}

  // Asks for the beginning, which tells the size too.
  Status Open() {
    Call call = CallFor(0, kFirstBlockBytes);
    ASSIGN_OR_RETURN(Answer answer, client_.Do(call));
    if (answer.status == 416) {  // There is no first byte: it is empty, or so a HEAD must say.
      call = Call{.method = "HEAD", .bucket = place_.bucket, .key = place_.key};
      ASSIGN_OR_RETURN(answer, client_.DoWell(call));
      if (answer.Header("content-length") != "0") {
        return Fail(ErrorCode::kUnavailable, "the store gives no range of it");
      }
      return {};
    }
    if (answer.status == 404) {
      const Error error = client_.Failure(call, answer);
      if (error.code != ErrorCode::kNotFound) return error;
      return Fail(ErrorCode::kNotFound, "is not there");
    }
    if (answer.status != 206 && answer.status != 200) return client_.Failure(call, answer);
    etag_ = answer.Header("etag");
    if (answer.status == 200) {
      size_ = answer.body.size();  // All of it, then.
    } else {
      const auto total = TotalOf(answer.Header("content-range"));
      if (!total.ok()) return Fail(ErrorCode::kUnavailable, total.error().message);
      size_ = *total;
    }
    if (answer.body.size() < std::min<std::uint64_t>(size_, kFirstBlockBytes)) {
      return Fail(ErrorCode::kUnavailable, "the store gave less than it said");
    }
    block_ = std::move(answer.body);
    return {};
  }

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    const std::lock_guard lock(mutex_);
    std::size_t filled = 0;
    while (filled < out.size() && offset + filled < size_) {
      const std::uint64_t at = offset + filled;
      if (at < block_at_ || at >= block_at_ + block_.size()) {
        RETURN_IF_ERROR(Fetch(at));
      }
      const std::size_t from = static_cast<std::size_t>(at - block_at_);
      const std::size_t count = std::min(out.size() - filled, block_.size() - from);
      std::copy_n(block_.begin() + static_cast<std::ptrdiff_t>(from), count,
                  out.begin() + static_cast<std::ptrdiff_t>(filled));
      filled += count;
    }
    return filled;
  }

 private:
  Error Fail(ErrorCode code, std::string_view why) const {
    return {code, StrCat("object ", name_, ": ", why)};
  }

  Call CallFor(std::uint64_t from, std::uint64_t count) const {
    Call call{.bucket = place_.bucket, .key = place_.key, .answer_bytes_max = 16u << 20};
    call.headers.emplace_back("Range", StrCat("bytes=", from, "-", from + count - 1));
    if (!etag_.empty()) call.headers.emplace_back("If-Match", etag_);
    return call;
  }

  Status Fetch(std::uint64_t at) const {
    // Who reads on gets larger blocks than who jumps about.
    const bool reads_on = at == block_at_ + block_.size();
    const std::uint64_t count =
        std::min<std::uint64_t>(reads_on ? kBlockBytes : kFirstBlockBytes, size_ - at);
    const Call call = CallFor(at, count);
    ASSIGN_OR_RETURN(Answer answer, client_.Do(call));
    // Some stores do not know If-Match.
    if (answer.status == 412 || (answer.status == 206 && answer.Header("etag") != etag_)) {
      return Fail(ErrorCode::kUnavailable, "another content was put while it was read");
    }
    if (answer.status != 206) {
      if (answer.status == 200) {
        return Fail(ErrorCode::kUnavailable, "the store gives no range of it");
      }
      return client_.Failure(call, answer);
    }
    if (answer.body.size() != count) {
      return Fail(ErrorCode::kUnavailable, "the store gave less than was asked for");
    }
    block_ = std::move(answer.body);
    block_at_ = at;
    return {};
  }

  Client& client_;
  const std::string name_;
  const Place place_;
  std::string etag_;
  std::uint64_t size_ = 0;
  mutable std::mutex mutex_;
  mutable std::uint64_t block_at_ = 0;
  mutable std::string block_;
};

// Bytes in memory, read as a file.
class HeldBytes final : public base::ReadableFile {
 public:
  explicit HeldBytes(ByteView bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    if (offset >= bytes_.size()) return std::size_t{0};
    const ByteView rest = bytes_.subspan(static_cast<std::size_t>(offset));
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    return count;
  }

 private:
  ByteView bytes_;
};

class S3ObjectStore;

// Holds what is written, in a file once it is large.
class S3Writer final : public store::ObjectWriter {
 public:
  S3Writer(S3ObjectStore& store, std::string key) : store_(store), key_(std::move(key)) {}
  ~S3Writer() override;
  Status Append(ByteView bytes) override;
  Status Commit() override;

 private:
  S3ObjectStore& store_;
  const std::string key_;
  base::Bytes held_;
  base::Sha256 sha256_;
  std::string path_;  // Of the spool file, once there is one.
  std::unique_ptr<base::WritableFile> file_;
};

class S3ObjectStore final : public store::ObjectStore {
 public:
  S3ObjectStore(base::FileSystem& fs, base::Clock& clock,
                std::unique_ptr<outbound::HttpClient> http, const Options& options)
      : fs_(fs),
        options_(options),
        http_(std::move(http)),
        client_(options_.location, *http_, clock) {}

  Status Open() {
    if (options_.sweeps) RETURN_IF_ERROR(base::RemoveTree(fs_, options_.spool));
    RETURN_IF_ERROR(fs_.CreateDirectories(options_.spool));
    if (options_.makes_buckets) {
      for (const store::Bucket& bucket : store::kBuckets) {
        RETURN_IF_ERROR(MakeBucket(BucketName(bucket.name)));
      }
    }
    return {};
  }

  Result<std::unique_ptr<store::ObjectWriter>> Put(const std::string& key) override {
    RETURN_IF_ERROR(PlaceOf(key));
    return std::unique_ptr<store::ObjectWriter>(std::make_unique<S3Writer>(*this, key));
  }

  Status Adopt(const std::string& key, const std::string& path) override {
    RETURN_IF_ERROR(PlaceOf(key));
    ASSIGN_OR_RETURN(const auto file, fs_.Open(path));
    RETURN_IF_ERROR(Upload(key, *file, ""));
    return fs_.Remove(path);
  }

  Result<std::unique_ptr<base::ReadableFile>> Get(const std::string& key) override {
    ASSIGN_OR_RETURN(Place place, PlaceOf(key));
    auto file = std::make_unique<S3File>(client_, key, std::move(place));
    RETURN_IF_ERROR(file->Open());
    return std::unique_ptr<base::ReadableFile>(std::move(file));
  }

  Status Delete(const std::string& key) override {
    ASSIGN_OR_RETURN(const Place place, PlaceOf(key));
    const auto answer =
        client_.DoWell({.method = "DELETE", .bucket = place.bucket, .key = place.key});
    if (!answer.ok() && answer.error().code != ErrorCode::kNotFound) return answer.error();
    return {};
  }

  Status DeleteAll(std::span<const std::string> keys) override {
    // A call is about one bucket.
    std::vector<Place> places;
    for (const std::string& key : keys) {
      ASSIGN_OR_RETURN(Place place, PlaceOf(key));
      places.push_back(std::move(place));
    }
    std::stable_sort(places.begin(), places.end(),
                     [](const Place& a, const Place& b) { return a.bucket < b.bucket; });
    std::vector<std::string> together;
    for (std::size_t i = 0; i < places.size(); ++i) {
      together.push_back(places[i].key);
      if (i + 1 < places.size() && places[i + 1].bucket == places[i].bucket &&
          together.size() < kDeleteMax) {
        continue;
      }
      RETURN_IF_ERROR(DeleteTogether(places[i].bucket, together));
      together.clear();
    }
    return {};
  }

  Result<bool> Exists(const std::string& key) override {
    ASSIGN_OR_RETURN(const Place place, PlaceOf(key));
    const auto answer =
        client_.DoWell({.method = "HEAD", .bucket = place.bucket, .key = place.key});
    if (answer.ok()) return true;
    if (answer.error().code == ErrorCode::kNotFound) return false;
    return answer.error();
  }

  Result<std::vector<store::ObjectInfo>> List(const std::string& prefix, const std::string& after,
                                              std::size_t limit) override {
    std::vector<store::ObjectInfo> found;
    for (const store::Bucket& bucket : store::kBuckets) {
      const std::string begins = StrCat(bucket.name, "/");
      const std::size_t common = std::min(begins.size(), prefix.size());
      if (begins.compare(0, common, prefix, 0, common) != 0) continue;
      // Every key of this bucket begins with `begins`.
      if (begins.compare(0, begins.size(), after, 0, begins.size()) < 0) continue;
      RETURN_IF_ERROR(
          ListBucket(bucket.name, prefix.size() > begins.size() ? prefix.substr(begins.size()) : "",
                     after.starts_with(begins) ? after.substr(begins.size()) : "", limit, found));
      if (found.size() >= limit) break;
    }
    return found;
  }

  Status Check() override {
    RETURN_IF_ERROR(CheckRoom());
    // Of all buckets the one without which nothing is taken in.
    RETURN_IF_ERROR(client_.DoWell({.method = "HEAD", .bucket = BucketName("packages")}));
    return {};
  }

  Result<std::optional<std::string>> Presign(const std::string& key, store::Presigned what,
                                             base::Duration life) override {
    ASSIGN_OR_RETURN(const Place place, PlaceOf(key));
    if (life < std::chrono::seconds(1) || life > kPresignedLifeMax) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("object ", key, ": a URL is good for a second to a week")};
    }
    return std::optional(
        client_.PresignedUrl({.method = what == store::Presigned::kGet ? "GET" : "PUT",
                              .bucket = place.bucket,
                              .key = place.key},
                             life));
  }

  // `sha256` in hex, if it is known.
  Status Upload(const std::string& key, const base::ReadableFile& file, std::string sha256) {
    ASSIGN_OR_RETURN(const Place place, PlaceOf(key));
    if (file.size() > options_.part_bytes) return UploadInParts(place, file);
    Call call{.method = "PUT",
              .bucket = place.bucket,
              .key = place.key,
              .file = {.file = &file, .offset = 0, .bytes = file.size()},
              .payload_sha256 = std::move(sha256)};
    if (call.payload_sha256.empty()) {
      ASSIGN_OR_RETURN(call.payload_sha256, Sha256OfStretch(call.file));
    }
    RETURN_IF_ERROR(client_.DoWell(call));
    return {};
  }

  Status CheckRoom() {
    ASSIGN_OR_RETURN(const std::uint64_t free_bytes, fs_.FreeBytes(options_.spool));
    if (free_bytes < options_.free_bytes_min) {
      return Error{ErrorCode::kExhausted,
                   StrCat("objects: only ", free_bytes, " bytes are free for what is under way, ",
                          options_.free_bytes_min, " must stay")};
    }
    return {};
  }

  std::string SpoolPath() {
    return base::JoinPath(options_.spool, StrCat("put-", process_, "-", next_.fetch_add(1)));
  }
  base::FileSystem& fs() { return fs_; }

 private:
  std::string BucketName(std::string_view name) const {
    return StrCat(options_.location.bucket_prefix, "-", name);
  }

  Result<Place> PlaceOf(const std::string& key) const {
    RETURN_IF_ERROR(store::CheckObjectKey(key));
    const std::size_t slash = key.find('/');
    const std::string_view bucket = std::string_view(key).substr(0, slash);
    const bool is_known = std::any_of(store::kBuckets.begin(), store::kBuckets.end(),
                                      [&](const auto& known) { return known.name == bucket; });
    if (!is_known) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("object ", key, ": there is no bucket ", bucket)};
    }
    return Place{.bucket = BucketName(bucket), .key = key.substr(slash + 1)};
  }

  Status MakeBucket(const std::string& bucket) {
    const Call look{.method = "HEAD", .bucket = bucket};
    ASSIGN_OR_RETURN(Answer answer, client_.Do(look));
    if (answer.status == 200) return {};
    if (answer.status != 404) return client_.Failure(look, answer);
    const std::string& region = options_.location.region;
    const std::string body = region == "us-east-1" ? "" : WriteCreateBucket(region);
    const Call make{.method = "PUT", .bucket = bucket, .body = base::AsBytes(body)};
    ASSIGN_OR_RETURN(answer, client_.Do(make));
    if (answer.status == 200) return {};
    // Somebody was faster. If it is not ours, the next HEAD says so.
    if (answer.status == 409) {
      RETURN_IF_ERROR(client_.DoWell(look));
      return {};
    }
    return client_.Failure(make, answer);
  }

  Status ListBucket(std::string_view name, const std::string& prefix, const std::string& after,
                    std::size_t limit, std::vector<store::ObjectInfo>& found) {
    std::string continuation;
    while (found.size() < limit) {
      Call call{.bucket = BucketName(name)};
      call.query = {{"list-type", "2"},
                    {"max-keys", std::to_string(std::min(kListMax, limit - found.size()))}};
      if (!prefix.empty()) call.query.emplace_back("prefix", prefix);
      if (!continuation.empty()) {
        call.query.emplace_back("continuation-token", continuation);
      } else if (!after.empty()) {
        call.query.emplace_back("start-after", after);
      }
      ASSIGN_OR_RETURN(const Answer answer, client_.DoWell(call));
      const auto page = ReadListPage(answer.body);
      if (!page.ok()) return page.error().Within("s3 list of " + call.bucket);
      for (const ListedObject& object : page->objects) {
        const std::string key = StrCat(name, "/", object.key);
        // What is none of ours has no key here.
        if (!store::CheckObjectKey(key).ok() || object.key <= after) continue;
        if (found.size() < limit) {
          found.push_back({.key = key, .bytes = object.bytes, .modified = object.modified});
        }
      }
      continuation = page->continuation;
      if (continuation.empty()) break;
    }
    return {};
  }

  Status DeleteTogether(const std::string& bucket, std::span<const std::string> keys) {
    const std::string body = WriteDelete(keys);
    const Call call{
        .method = "POST",
        .bucket = bucket,
        .query = {{"delete", ""}},
        .headers = {{"Content-MD5", ContentMd5(body)}, {"Content-Type", "application/xml"}},
        .body = base::AsBytes(body)};
    ASSIGN_OR_RETURN(const Answer answer, client_.DoWell(call));
    const auto errors = ReadDeleteErrors(answer.body);
    if (!errors.ok()) return errors.error().Within("s3 delete in " + bucket);
    for (const auto& [key, error] : *errors) {
      if (error.code == "NoSuchKey") continue;
      return Error{ErrorCode::kUnavailable,
                   StrCat("s3 delete of ", bucket, "/", key, ": ", error.code)};
    }
    return {};
  }

  Status UploadInParts(const Place& place, const base::ReadableFile& file) {
    const Call begin{
        .method = "POST", .bucket = place.bucket, .key = place.key, .query = {{"uploads", ""}}};
    ASSIGN_OR_RETURN(const Answer begun, client_.DoWell(begin));
    const auto upload = ReadUploadId(begun.body);
    if (!upload.ok()) return upload.error().Within("s3 upload to " + place.bucket);
    const Status done = PutParts(place, *upload, file);
    if (!done.ok()) {
      // Parts that nobody completes would be paid for ever.
      (void)client_
          .DoWell({.method = "DELETE",
                   .bucket = place.bucket,
                   .key = place.key,
                   .query = {{"uploadId", *upload}}})
          .ok();
    }
    return done;
  }

  Status PutParts(const Place& place, const std::string& upload, const base::ReadableFile& file) {
    std::vector<std::string> etags;
    for (std::uint64_t offset = 0; offset < file.size(); offset += options_.part_bytes) {
      Call call{.method = "PUT",
                .bucket = place.bucket,
                .key = place.key,
                .query = {{"partNumber", std::to_string(etags.size() + 1)}, {"uploadId", upload}},
                .file = {.file = &file,
                         .offset = offset,
                         .bytes = std::min(options_.part_bytes, file.size() - offset)}};
      ASSIGN_OR_RETURN(call.payload_sha256, Sha256OfStretch(call.file));
      ASSIGN_OR_RETURN(const Answer answer, client_.DoWell(call));
      etags.emplace_back(answer.Header("etag"));
      if (etags.back().empty()) {
        return Error{ErrorCode::kUnavailable,
                     StrCat("s3 upload to ", place.bucket, ": a part's answer has no ETag")};
      }
    }
    const std::string body = WriteComplete(etags);
    const Call complete{.method = "POST",
                        .bucket = place.bucket,
                        .key = place.key,
                        .query = {{"uploadId", upload}},
                        .headers = {{"Content-Type", "application/xml"}},
                        .body = base::AsBytes(body)};
    ASSIGN_OR_RETURN(const Answer answer, client_.Do(complete));
    if (answer.status == 404) {
      // Repeated after its first answer was lost: then what was uploaded is there.
      const auto there =
          client_.DoWell({.method = "HEAD", .bucket = place.bucket, .key = place.key});
      if (there.ok() && there->Header("content-length") == std::to_string(file.size())) return {};
    }
    // It may say 200 first and find out afterwards.
    if (answer.status != 200 || ReadError(answer.body)) return client_.Failure(complete, answer);
    return {};
  }

  base::FileSystem& fs_;
  const Options options_;
  const std::unique_ptr<outbound::HttpClient> http_;
  Client client_;
  const std::string process_ = base::RandomHex(4);  // Two programs may share the folder.
  std::atomic<std::uint64_t> next_{0};
};

S3Writer::~S3Writer() {
  file_.reset();
  if (!path_.empty()) (void)store_.fs().Remove(path_).ok();
}

Status S3Writer::Append(ByteView bytes) {
  sha256_.Update(bytes);
  if (file_ == nullptr && held_.size() + bytes.size() > kHeldBytesMax) {
    RETURN_IF_ERROR(store_.CheckRoom());
    path_ = store_.SpoolPath();
    ASSIGN_OR_RETURN(file_, store_.fs().Create(path_, base::FileSystem::Mode::kTruncate));
    RETURN_IF_ERROR(file_->Append(held_));
    held_ = {};
  }
  if (file_ != nullptr) return file_->Append(bytes);
  held_.insert(held_.end(), bytes.begin(), bytes.end());
  return {};
}

Status S3Writer::Commit() {
  const std::string sha256 = base::HexEncode(sha256_.Finish());
  if (file_ == nullptr) return store_.Upload(key_, HeldBytes(held_), sha256);
  RETURN_IF_ERROR(file_->Close());
  ASSIGN_OR_RETURN(const auto file, store_.fs().Open(path_));
  return store_.Upload(key_, *file, sha256);
}

}  // namespace

Result<std::unique_ptr<store::ObjectStore>> OpenObjectStore(
    base::FileSystem& fs, base::Clock& clock, std::unique_ptr<outbound::HttpClient> http,
    const Options& options) {
  auto store = std::make_unique<S3ObjectStore>(fs, clock, std::move(http), options);
  RETURN_IF_ERROR(store->Open());
  return std::unique_ptr<store::ObjectStore>(std::move(store));
}

}  // namespace tinysphere::s3
