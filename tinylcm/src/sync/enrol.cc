#include "tinylcm/sync/enrol.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "protocol/identifiers.h"
#include "tinylcm/sync/signed_client.h"

namespace tinylcm::sync {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::string_view kEnrolmentFormat = "tinylcm-enrolment/1";
constexpr std::uint64_t kFileBytesMax = 65536;

}  // namespace

Result<base::Ed25519Key> LoadOrMakeDeviceKey(base::FileSystem& fs, const std::string& path) {
  const Result<std::string> text = base::ReadTextFile(fs, path, kFileBytesMax);
  if (text.ok()) {
    Result<base::Ed25519Key> key = base::ParsePrivateKeyText(*text);
    // Never overwritten: a new key would be another device.
    if (!key.ok()) return key.error().Within(path);
    return key;
  }
  if (text.error().code != ErrorCode::kNotFound) return text.error();
  RETURN_IF_ERROR(fs.CreateDirectories(std::string(base::FolderOf(path))));
  base::Ed25519Key key = base::Ed25519Key::Generate();
  RETURN_IF_ERROR(
      base::WriteFileDurably(fs, path, base::AsBytes(base::WritePrivateKeyText(key)), true));
  return key;
}

EnrolOptions FromToken(const protocol::EnrolmentToken& token) {
  EnrolOptions options;
  options.server_fingerprint = token.server_fingerprint;
  options.publisher_fingerprint = token.publisher_fingerprint;
  options.secret = token.secret;
  return options;
}

bool Enrolment::Takes(std::string_view format) const {
  return format == "tar.gz" || std::find(formats.begin(), formats.end(), format) != formats.end();
}

Status WriteEnrolment(base::FileSystem& fs, const std::string& path, const Enrolment& enrolment) {
  Json formats = Json::MakeArray();
  for (const std::string& format : enrolment.formats) formats.Append(format);
  const Json json =
      Json::MakeObject({{"format", kEnrolmentFormat},
                        {"device_id", enrolment.device_id},
                        {"name", enrolment.name},
                        {"server", enrolment.server},
                        {"tls_pin", enrolment.tls_pin},
                        {"server_key", base::Base64UrlEncode(enrolment.trust.server_key)},
                        {"publisher_key", base::Base64UrlEncode(enrolment.trust.publisher_key)},
                        {"pending", enrolment.is_pending},
                        {"formats", std::move(formats)}});
  return base::WriteFileDurably(fs, path, base::AsBytes(json.WritePretty()), true);
}

Result<Enrolment> ReadEnrolment(base::FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs, path, kFileBytesMax));
  const Result<Json> json = Json::Parse(text);
  if (!json.ok()) return json.error().Within(path);
  JsonReader reader(*json, path);
  if (reader.String("format") != kEnrolmentFormat) reader.Refuse("format", "unknown");
  Enrolment enrolment;
  enrolment.device_id = reader.String("device_id");
  enrolment.name = reader.String("name");
  enrolment.server = reader.String("server");
  enrolment.tls_pin = reader.String("tls_pin");
  const auto server = protocol::ParseRawPublicKey(reader.String("server_key"));
  const auto publisher = protocol::ParseRawPublicKey(reader.String("publisher_key"));
  if (!server.ok()) reader.Refuse("server_key", server.error().message);
  if (!publisher.ok()) reader.Refuse("publisher_key", publisher.error().message);
  enrolment.is_pending = reader.Bool("pending");
  enrolment.formats = reader.Strings("formats", 64);
  RETURN_IF_ERROR(reader.status());
  enrolment.trust = {*server, *publisher};
  return enrolment;
}

Result<Enrolment> Enrol(Transport& transport, const base::Ed25519Key& device_key,
                        const EnrolOptions& options) {
  // Who is there? Nothing of ours is sent before that is known.
  const std::string challenge = base::Base64UrlEncode(base::RandomBytes(24));
  HttpRequest who;
  who.method = "GET";
  who.path = "/api/v1/identity";
  who.query = "challenge=" + challenge;
  ASSIGN_OR_RETURN(const HttpAnswer hello, transport.Do(who));
  const Result<protocol::Identity> identity = protocol::ParseIdentity(hello.body);
  if (hello.status != 200 || !identity.ok()) {
    return Error{ErrorCode::kUnavailable,
                 StrCat("enrol: the server gave no identity (HTTP ", hello.status, ")")};
  }
  RETURN_IF_ERROR(protocol::VerifyIdentity(*identity, challenge, options.server_fingerprint,
                                           options.publisher_fingerprint));

  protocol::EnrolRequest body;
  body.public_key = device_key.public_key();
  body.token = options.secret;
  body.name = options.name;
  body.agent_version = options.agent_version;
  const std::string text = protocol::ToJson(body).Write();
  const MemoryBody bytes(base::AsBytes(text));
  HttpRequest request;
  request.method = "POST";
  request.path = "/api/v1/devices/enroll";
  request.headers = {{"content-type", "application/json"}};
  request.body = &bytes;
  SignedClient client(transport, device_key, base::Fingerprint(identity->server_key));
  ASSIGN_OR_RETURN(const SignedClient::Reply reply, client.Do(request));

  const Result<protocol::Statement> statement = protocol::ParseStatement(reply.answer.body);
  if (!statement.ok() || !protocol::VerifyStatement(*statement, identity->server_key).ok() ||
      statement->device_id != client.device_id()) {
    return Error{ErrorCode::kUnavailable,
                 StrCat("enrol: no signed answer (HTTP ", reply.answer.status, ")")};
  }
  const bool is_pending = statement->kind == protocol::StatementKind::kPending;
  const bool is_ours = statement->subject == base::Fingerprint(device_key.public_key());
  if ((statement->kind != protocol::StatementKind::kEnrolled && !is_pending) || !is_ours) {
    return Error{ErrorCode::kPermissionDenied,
                 StrCat("enrol: the server says ", protocol::Name(statement->kind), ": ",
                        statement->error ? statement->error->message : "no reason given")};
  }
  Enrolment enrolment;
  enrolment.device_id = client.device_id();
  enrolment.name = options.name;
  enrolment.trust = {identity->server_key, *identity->publisher_key};
  enrolment.is_pending = is_pending;
  enrolment.formats = identity->formats;
  return enrolment;
}

}  // namespace tinylcm::sync
