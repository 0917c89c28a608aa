#include "tinysphere/http/multipart.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/text.h"

namespace tinysphere::http {

using base::Error;
using base::ErrorCode;

namespace {

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

// The value of `name` among "; name=value; name=\"value\""; "" if it is not there.
std::string Parameter(std::string_view text, std::string_view name) {
  std::size_t at = text.find(';');
  while (at != std::string_view::npos) {
    ++at;
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
    const std::size_t equals = text.find('=', at);
    if (equals == std::string_view::npos) return {};
    const std::string key = LowerCase(base::Trim(text.substr(at, equals - at)));
    std::string value;
    std::size_t end = equals + 1;
    if (end < text.size() && text[end] == '"') {
      for (++end; end < text.size() && text[end] != '"'; ++end) {
        if (text[end] == '\\' && end + 1 < text.size()) ++end;
        value += text[end];
      }
      at = text.find(';', end);
    } else {
      at = text.find(';', end);
      value =
          std::string(base::Trim(text.substr(end, at == std::string_view::npos ? at : at - end)));
    }
    if (key == name) return value;
  }
  return {};
}

base::Result<PartHeader> ParsePartHeader(std::string_view text) {
  PartHeader header;
  std::string disposition;
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      return Error{ErrorCode::kInvalidArgument, "multipart: a part's header line has no colon"};
    }
    const std::string name = LowerCase(line.substr(0, colon));
    const std::string_view value = base::Trim(line.substr(colon + 1));
    if (name == "content-disposition") disposition = std::string(value);
    if (name == "content-type") header.content_type = std::string(value);
  }
  if (!LowerCase(disposition).starts_with("form-data")) {
    return Error{ErrorCode::kInvalidArgument,
                 "multipart: a part lacks Content-Disposition: form-data"};
  }
  header.name = Parameter(disposition, "name");
  header.file_name = Parameter(disposition, "filename");
  if (header.name.empty()) {
    return Error{ErrorCode::kInvalidArgument, "multipart: a part has no name"};
  }
  return header;
}

}  // namespace

MultipartReader::MultipartReader(std::string boundary, Events events, const Options& options)
    : options_(options),
      events_(std::move(events)),
      delimiter_("\r\n--" + std::move(boundary)),
      // The first boundary may stand at the very beginning, as if a line had ended before it.
      pending_("\r\n") {}

base::Result<MultipartReader> MultipartReader::Create(std::string_view content_type, Events events,
                                                      const Options& options) {
  if (!LowerCase(content_type).starts_with("multipart/form-data")) {
    return Error{ErrorCode::kInvalidArgument, "Content-Type: must be multipart/form-data"};
  }
  std::string boundary = Parameter(content_type, "boundary");
  constexpr std::string_view kAllowed = "'()+_,-./:=? ";
  const bool is_fine = !boundary.empty() && boundary.size() <= 70 && boundary.back() != ' ' &&
                       std::all_of(boundary.begin(), boundary.end(), [&](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                (c >= '0' && c <= '9') ||
                                kAllowed.find(c) != std::string_view::npos;
                       });
  if (!is_fine) {
    return Error{ErrorCode::kInvalidArgument, "Content-Type: boundary is missing or malformed"};
  }
  return MultipartReader(std::move(boundary), std::move(events), options);
}

base::Status MultipartReader::Feed(base::ByteView bytes) {
  pending_ += base::AsText(bytes);
  bool progressed = true;
  while (progressed) {
    progressed = false;
    RETURN_IF_ERROR(Step(progressed));
  }
  return {};
}

base::Status MultipartReader::Finish() {
  if (state_ != State::kEpilogue) {
    return Error{ErrorCode::kCorrupt, "multipart: the body ended before its last boundary"};
  }
  return {};
}

base::Status MultipartReader::Step(bool& progressed) {
  switch (state_) {
    case State::kPreamble:
    case State::kData: {
      const std::size_t found = pending_.find(delimiter_);
      // What may be the beginning of a delimiter stays until more has come.
      const std::size_t sure =
          found != std::string::npos
              ? found
              : pending_.size() - std::min(pending_.size(), delimiter_.size() - 1);
      if (sure > skip_ && state_ == State::kData) {
        RETURN_IF_ERROR(
            events_.data(base::AsBytes(std::string_view(pending_).substr(skip_, sure - skip_))));
      }
      skip_ -= std::min(skip_, sure);
      if (found == std::string::npos) {
        pending_.erase(0, sure);
        return {};
      }
      pending_.erase(0, found + delimiter_.size());
      skip_ = 0;
      if (state_ == State::kData) RETURN_IF_ERROR(events_.end());
      state_ = State::kAfterBoundary;
      progressed = true;
      return {};
    }
    case State::kAfterBoundary: {
      if (pending_.size() < 2) return {};
      if (pending_.starts_with("--")) {
        state_ = State::kEpilogue;
        progressed = true;
        return {};
      }
      // RFC 2046 lets blanks follow a boundary.
      const std::size_t text = pending_.find_first_not_of(" \t");
      if (text == std::string::npos || text + 2 > pending_.size()) {
        if (pending_.size() <= 64) return {};
        return Error{ErrorCode::kInvalidArgument, "multipart: a boundary's line does not end"};
      }
      if (pending_.compare(text, 2, "\r\n") != 0) {
        return Error{ErrorCode::kInvalidArgument, "multipart: text follows a boundary"};
      }
      pending_.erase(0, text + 2);
      state_ = State::kHeader;
      progressed = true;
      return {};
    }
    case State::kHeader: {
      // An empty header block has no line of its own before the empty line.
      const std::size_t end = pending_.starts_with("\r\n") ? 0 : pending_.find("\r\n\r\n");
      if (std::min(end, pending_.size()) > options_.header_bytes_max) {
        return Error{ErrorCode::kInvalidArgument, "multipart: a part's header is too long"};
      }
      if (end == std::string::npos) return {};
      if (++parts_ > options_.parts_max) {
        return Error{ErrorCode::kInvalidArgument, "multipart: too many parts"};
      }
      ASSIGN_OR_RETURN(const PartHeader header,
                       ParsePartHeader(std::string_view(pending_).substr(0, end)));
      pending_.erase(0, end == 0 ? 2 : end + 4);
      RETURN_IF_ERROR(events_.begin(header));
      // A part without content has its delimiter at once, without a line end of its own before.
      pending_.insert(0, "\r\n");
      skip_ = 2;
      state_ = State::kData;
      progressed = true;
      return {};
    }
    case State::kEpilogue:
      pending_.clear();  // To be ignored.
      return {};
  }
  return {};
}

base::Result<MultipartUpload> ReadMultipartUpload(base::FileSystem& fs, const Request& request,
                                                  const std::string& package_path,
                                                  std::uint64_t package_bytes_max) {
  constexpr std::size_t kMetadataBytesMax = 64 * 1024;
  MultipartUpload upload;
  bool has_metadata = false;
  bool has_package = false;
  std::unique_ptr<base::WritableFile> file;
  base::Sha256 hash;
  std::uint64_t package_bytes = 0;

  MultipartReader::Events events;
  events.begin = [&](const PartHeader& part) -> base::Status {
    if (part.name == "metadata" && !has_metadata && !has_package) {
      has_metadata = true;
      return {};
    }
    if (part.name == "package" && has_metadata && !has_package) {
      has_package = true;
      ASSIGN_OR_RETURN(file, fs.Create(package_path, base::FileSystem::Mode::kTruncate));
      return {};
    }
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("multipart: part \"", part.name,
                              "\" where \"metadata\" and then \"package\" were expected")};
  };
  events.data = [&](base::ByteView bytes) -> base::Status {
    if (!file) {
      if (upload.metadata.size() + bytes.size() > kMetadataBytesMax) {
        return Error{ErrorCode::kInvalidArgument, "multipart: metadata is too long"};
      }
      upload.metadata += base::AsText(bytes);
      return {};
    }
    package_bytes += bytes.size();
    if (package_bytes > package_bytes_max) {
      return Error{
          ErrorCode::kInvalidArgument,
          base::StrCat("multipart: the package has more than ", package_bytes_max, " bytes")};
    }
    hash.Update(bytes);
    return file->Append(bytes);
  };
  events.end = []() -> base::Status { return {}; };
  ASSIGN_OR_RETURN(MultipartReader reader,
                   MultipartReader::Create(request.headers.Get("Content-Type"), std::move(events)));

  // Removes the part's file again if something goes wrong.
  const auto read_all = [&]() -> base::Status {
    if (!request.body.is_spooled()) {
      RETURN_IF_ERROR(reader.Feed(base::AsBytes(request.body.text())));
      return reader.Finish();
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<base::ReadableFile> body, fs.Open(request.body.path()));
    base::Bytes block(256 * 1024);
    std::uint64_t offset = 0;
    for (;;) {
      ASSIGN_OR_RETURN(const std::size_t got, body->ReadAt(offset, block));
      if (got == 0) break;
      offset += got;
      RETURN_IF_ERROR(reader.Feed(base::ByteView(block).first(got)));
    }
    return reader.Finish();
  };
  base::Status status = read_all();
  if (status.ok() && !has_package) {
    status = Error{ErrorCode::kInvalidArgument, "multipart: the part \"package\" is missing"};
  }
  if (file) {
    const base::Status closed = file->Close();
    if (status.ok()) status = closed;
  }
  if (!status.ok()) {
    if (file) (void)fs.Remove(package_path).ok();
    return status.error();
  }
  upload.package = Body(fs, package_path, package_bytes, hash.Finish());
  return upload;
}

}  // namespace tinysphere::http
