// A server in memory behind a Transport that drops, doubles and forges: for tests of the client.
// It verifies every signature as the real one does.

#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "protocol/desired.h"
#include "protocol/enrolment.h"
#include "protocol/feedback.h"
#include "protocol/http_signature.h"
#include "protocol/identifiers.h"
#include "protocol/nonce.h"
#include "protocol/package.h"
#include "protocol/statement.h"
#include "tests/support/fake_clock.h"
#include "tinylcm/sync/transport.h"

namespace tinylcm::sync {

class FakeServer final : public Transport {
 public:
  explicit FakeServer(tests::FakeClock& clock) : clock_(clock) {}

  // What happens on the way. kLost: the server never sees it. kAnswerLost: it acts, nobody hears.
  // kPortal: somebody in between answers instead.
  enum class Way { kOpen, kLost, kAnswerLost, kPortal };
  std::function<Way(const HttpRequest&)> way = [](const HttpRequest&) { return Way::kOpen; };
  HttpAnswer portal;  // What somebody in between answers.
  // Changes a genuine answer before it is heard.
  std::function<void(const HttpRequest&, HttpAnswer&)> tamper;

  base::Ed25519Key key = base::Ed25519Key::FromSeed(base::Bytes(32, 11)).value();
  base::Ed25519Key publisher = base::Ed25519Key::FromSeed(base::Bytes(32, 12)).value();
  std::string secret = "c2VjcmV0";
  std::string generation = "g1";
  std::map<std::string, base::Ed25519PublicKey> devices;  // Enrolled.
  std::map<std::string, base::Bytes> stored;              // By package id.
  std::set<std::string> revoked;
  bool decommissioned = false;
  std::optional<protocol::StatementError> refuse;  // The next packages.
  bool resumable = true;
  std::uint64_t lose_part_after = UINT64_MAX;  // Bytes of a partial upload that arrive.
  protocol::Desired desired;
  std::map<std::string, protocol::Feedback> feedback;
  base::Bytes artifact;
  std::uint64_t artifact_cut = UINT64_MAX;  // The connection breaks after so many bytes.

  std::vector<std::string> seen;  // "PUT /path"
  int stored_count = 0;
  int duplicate_count = 0;

  base::Result<HttpAnswer> Do(const HttpRequest& request) override {
    seen.push_back(request.method + " " + request.path);
    const Way taken = way(request);
    clock_.Advance(base::Duration(1));  // So that no two nonces are the same.
    const base::Error lost{base::ErrorCode::kUnavailable, "connection reset"};
    if (taken == Way::kLost) return lost;
    if (taken == Way::kPortal) return Pass(request, portal);
    base::Result<HttpAnswer> answer = Handle(request);
    if (taken == Way::kAnswerLost) return lost;
    if (answer.ok() && tamper) tamper(request, *answer);
    return answer;
  }
  void Cancel() override {}

  int Seen(const std::string& what) const {
    return static_cast<int>(std::count_if(
        seen.begin(), seen.end(), [&](const std::string& line) { return line.starts_with(what); }));
  }

  protocol::Statement Say(protocol::StatementKind kind, const std::string& device,
                          const std::string& subject, const std::string& sha256,
                          const std::optional<protocol::StatementError>& error = {}) const {
    protocol::Statement statement;
    statement.kind = kind;
    statement.device_id = device;
    statement.subject = subject;
    statement.sha256 = sha256;
    statement.store_generation = generation;
    statement.server_time = base::FormatTime(clock_.Now());
    statement.error = error;
    return protocol::SignStatement(statement, key);
  }

 private:
  // A body that is taken by a sink goes there piece by piece, and what the sink says against it
  // ends the answer.
  static base::Result<HttpAnswer> Pass(const HttpRequest& request, HttpAnswer answer) {
    if (request.sink == nullptr || (answer.status != 200 && answer.status != 206)) return answer;
    RETURN_IF_ERROR(request.sink->Begin(answer.status, answer.headers));
    for (base::ByteView left = base::AsBytes(answer.body); !left.empty();) {
      const std::size_t count = std::min<std::size_t>(1000, left.size());
      RETURN_IF_ERROR(request.sink->Append(left.first(count)));
      left = left.subspan(count);
    }
    answer.body.clear();
    return answer;
  }
  static base::Bytes BytesOf(const HttpRequest& request) {
    base::Bytes bytes(request.body == nullptr ? 0 : static_cast<std::size_t>(request.body->size()));
    std::size_t read = 0;
    while (read < bytes.size()) {
      const std::size_t count =
          request.body->ReadAt(read, std::span<std::uint8_t>(bytes).subspan(read)).value();
      if (count == 0) break;
      read += count;
    }
    return bytes;
  }
  static const std::string* Field(const HttpRequest& request, std::string_view name) {
    for (const auto& [field, value] : request.headers) {
      if (field == name) return &value;
    }
    return nullptr;
  }
  static HttpAnswer Document(int status, const protocol::Statement& statement) {
    return {status, {}, protocol::ToJson(statement).Write()};
  }

  base::Result<HttpAnswer> Handle(const HttpRequest& request) {
    if (request.path == "/api/v1/identity") {
      const std::string challenge = request.query.substr(request.query.find('=') + 1);
      return HttpAnswer{
          200,
          {},
          protocol::ToJson(protocol::MakeIdentity(key, publisher.public_key(),
                                                  {"tinylcm-package/1", "tar.gz", "tar.zst"},
                                                  challenge, generation, clock_.Now()))
              .Write()};
    }
    protocol::HttpRequestHead head;
    head.method = request.method;
    head.path = request.path;
    head.query = request.query;
    head.headers = request.headers;
    const base::Bytes body = BytesOf(request);
    const auto signature = protocol::ParseRequestSignature(head, !body.empty());
    if (!signature.ok()) return HttpAnswer{401, {}, signature.error().message};
    const std::string device = signature->device_id;
    const std::string fresh = nonces_.Issue(device, clock_.Now());
    ASSIGN_OR_RETURN(HttpAnswer answer, Signed(request, body, *signature));
    answer.headers.emplace_back("tlcm-nonce", fresh);
    return answer;
  }

  base::Result<HttpAnswer> Signed(const HttpRequest& request, const base::Bytes& body,
                                  const protocol::RequestSignature& signature) {
    const std::string& device = signature.device_id;
    if (!nonces_.Check(signature.nonce, device, clock_.Now()).ok()) {
      return HttpAnswer{401, {}, "stale nonce"};
    }
    if (const std::string* digest = Field(request, "content-digest")) {
      const auto stated = protocol::ParseContentDigest(*digest);
      if (!stated.ok() || *stated != base::Sha256Of(body))
        return HttpAnswer{400, {}, "digest differs"};
    }
    if (request.path == "/api/v1/devices/enroll") return Enrol(body, signature);
    const auto known = devices.find(device);
    if (known == devices.end() ||
        !protocol::VerifyRequestSignature(signature, known->second).ok() ||
        revoked.contains(device)) {
      return Document(401, Say(protocol::StatementKind::kHeld, device, signature.nonce, "",
                               protocol::StatementError{"unauthenticated", "not accepted", {}}));
    }
    if (decommissioned) {
      return Document(410,
                      Say(protocol::StatementKind::kDecommissioned, device, signature.nonce, ""));
    }
    const std::string packages = "/api/v1/packages/";
    if (request.path == packages + "offer") return Offer(body);
    if (request.path.starts_with(packages)) {
      std::string id = request.path.substr(packages.size());
      if (request.method == "PUT") return Store(device, id, body);
      if (request.method == "POST") return Create(device, id, body);
      id = id.substr(0, id.find('/'));
      return Append(request, device, id, body);
    }
    if (request.path.ends_with("/desired")) {
      const std::string text = protocol::ToJson(desired).Write();
      const std::string etag = "\"" + base::Sha256Hex(base::AsBytes(text)).substr(0, 16) + "\"";
      const std::string* have = Field(request, "if-none-match");
      if (have != nullptr && *have == etag) return HttpAnswer{304, {}, ""};
      return HttpAnswer{
          200,
          {{"etag", etag},
           {"tlcm-statement", protocol::WriteStatementHeader(Say(
                                  protocol::StatementKind::kDesired, device, desired.deployment_id,
                                  base::Sha256Hex(base::AsBytes(text))))}},
          text};
    }
    if (request.path.find("/feedback/") != std::string::npos) {
      const std::string id = request.path.substr(request.path.rfind('/') + 1);
      const auto found = feedback.find(id);
      if (found == feedback.end()) return HttpAnswer{404, {}, ""};
      const std::string text = protocol::ToJson(found->second).Write();
      return HttpAnswer{200,
                        {{"tlcm-statement", protocol::WriteStatementHeader(
                                                Say(protocol::StatementKind::kFeedback, device, id,
                                                    base::Sha256Hex(base::AsBytes(text))))}},
                        text};
    }
    if (request.path.starts_with("/artifacts/")) return Artifact(request);
    return HttpAnswer{404, {}, ""};
  }

  HttpAnswer Enrol(const base::Bytes& body, const protocol::RequestSignature& signature) {
    const auto wanted = protocol::ParseEnrolRequest(base::AsText(body));
    if (!wanted.ok() || !protocol::VerifyRequestSignature(signature, wanted->public_key).ok()) {
      return {401, {}, "bad signature"};
    }
    const std::string& device = signature.device_id;
    if (!devices.contains(device) && wanted->token != secret) {
      if (wanted->token) {
        return Document(
            403, Say(protocol::StatementKind::kHeld, device, signature.nonce, "",
                     protocol::StatementError{"permission_denied", "the token is not good", {}}));
      }
      return Document(202, Say(protocol::StatementKind::kPending, device,
                               base::Fingerprint(wanted->public_key), ""));
    }
    devices[device] = wanted->public_key;
    return Document(200, Say(protocol::StatementKind::kEnrolled, device,
                             base::Fingerprint(wanted->public_key), ""));
  }

  HttpAnswer Store(const std::string& device, const std::string& id, const base::Bytes& body) {
    const std::string sha256 = base::Sha256Hex(body);
    const auto there = stored.find(id);
    if (there != stored.end()) {
      if (there->second == body) {
        ++duplicate_count;
        return Document(200, Say(protocol::StatementKind::kDuplicate, device, id, sha256));
      }
      return Document(409, Say(protocol::StatementKind::kConflict, device, id, sha256,
                               protocol::StatementError{"conflict", "another archive", {}}));
    }
    if (refuse) {
      return Document(422, Say(protocol::StatementKind::kRefused, device, id, sha256, refuse));
    }
    stored[id] = body;
    ++stored_count;
    return Document(201, Say(protocol::StatementKind::kStored, device, id, sha256));
  }

  HttpAnswer Create(const std::string& device, const std::string& id, const base::Bytes& body) {
    if (!resumable) return {404, {}, ""};
    const base::Json json = base::Json::Parse(base::AsText(body)).value();
    const std::string sha256 = json.Find("sha256")->as_string();
    const auto there = stored.find(id);
    if (there != stored.end() && base::Sha256Hex(there->second) == sha256) {
      ++duplicate_count;
      return Document(200, Say(protocol::StatementKind::kDuplicate, device, id, sha256));
    }
    parts_total_[id] = static_cast<std::uint64_t>(json.Find("bytes")->as_int());
    return {201, {{"upload-offset", std::to_string(parts_[id].size())}}, ""};
  }

  HttpAnswer Append(const HttpRequest& request, const std::string& device, const std::string& id,
                    const base::Bytes& body) {
    if (!parts_total_.contains(id)) return {404, {}, ""};
    base::Bytes& have = parts_[id];
    const std::string offset = std::to_string(have.size());
    if (*Field(request, "upload-offset") != offset) return {409, {{"upload-offset", offset}}, ""};
    base::Bytes taken = body;
    if (have.size() + taken.size() > lose_part_after) {
      taken.resize(static_cast<std::size_t>(lose_part_after) - have.size());
      lose_part_after = UINT64_MAX;
    }
    have.insert(have.end(), taken.begin(), taken.end());
    if (taken.size() < body.size()) return {502, {}, "broken in the middle"};
    if (*Field(request, "upload-complete") == "?1") {
      const base::Bytes whole = std::move(have);
      parts_.erase(id);
      parts_total_.erase(id);
      return Store(device, id, whole);
    }
    return {204, {{"upload-offset", std::to_string(have.size())}}, ""};
  }

  HttpAnswer Offer(const base::Bytes& body) const {
    const base::Json json = base::Json::Parse(base::AsText(body)).value();
    base::Json unknown = base::Json::MakeArray();
    for (const base::Json& id : json.Find("packages")->as_array()) {
      if (!stored.contains(id.as_string())) unknown.Append(id);
    }
    return {200, {}, base::Json::MakeObject({{"unknown", unknown}}).Write()};
  }

  base::Result<HttpAnswer> Artifact(const HttpRequest& request) const {
    if (request.path != "/artifacts/" + base::Sha256Hex(artifact)) return HttpAnswer{404, {}, ""};
    std::size_t from = 0;
    HttpAnswer answer{200, {}, ""};
    if (const std::string* range = Field(request, "range")) {
      from = static_cast<std::size_t>(
          base::ParseInt(std::string_view(*range).substr(6, range->size() - 7)).value());
      if (from >= artifact.size()) return HttpAnswer{416, {}, ""};
      answer.status = 206;
      answer.headers.emplace_back(
          "content-range",
          base::StrCat("bytes ", from, "-", artifact.size() - 1, "/", artifact.size()));
    }
    const std::size_t to =
        static_cast<std::size_t>(std::min<std::uint64_t>(artifact.size(), artifact_cut));
    if (from < to) answer.body = base::AsText(base::ByteView(artifact).subspan(from, to - from));
    return Pass(request, std::move(answer));
  }

  tests::FakeClock& clock_;
  protocol::NonceIssuer nonces_{base::Bytes(32, 13)};
  std::map<std::string, base::Bytes> parts_;
  std::map<std::string, std::uint64_t> parts_total_;
};

}  // namespace tinylcm::sync
