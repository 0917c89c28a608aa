#include "protocol/http_signature.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/text.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

namespace {

constexpr std::string_view kLabel = "tlcm";

Error Refused(std::string_view reason) {
  return {ErrorCode::kPermissionDenied, StrCat("request signature: ", reason)};
}

std::string Quoted(std::string_view text) { return StrCat("\"", text, "\""); }

std::string ListOf(std::span<const std::string> components) {
  std::string list = "(";
  for (const std::string& component : components) {
    if (list.size() > 1) list += ' ';
    list += Quoted(component);
  }
  return list + ")";
}

// The components our requests cover, as far as the request has them.
std::vector<std::string> Covered(const HttpRequestHead& request) {
  std::vector<std::string> components = {"@method", "@path", "@query"};
  for (const char* name : {"content-digest", "upload-offset", "upload-complete"}) {
    std::string value;
    if (request.Header(name, &value)) components.emplace_back(name);
  }
  components.emplace_back("tlcm-audience");
  components.emplace_back("tlcm-nonce");
  return components;
}

// Reads the part of structured fields (RFC 8941) that a signature needs.
class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : text_(text) {}

  bool AtEnd() const { return text_.empty(); }
  std::string_view rest() const { return text_; }
  void SkipSpace() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\t')) {
      text_.remove_prefix(1);
    }
  }
  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<std::string> Key() {
    std::size_t length = 0;
    while (length < text_.size() && IsKey(text_[length])) ++length;
    if (length == 0) return std::nullopt;
    std::string key(text_.substr(0, length));
    text_.remove_prefix(length);
    return key;
  }
  std::optional<std::string> String() {
    if (!Take('"')) return std::nullopt;
    std::string value;
    while (!text_.empty()) {
      char c = text_.front();
      text_.remove_prefix(1);
      if (c == '"') return value;
      if (c == '\\') {
        if (text_.empty()) return std::nullopt;
        c = text_.front();
        text_.remove_prefix(1);
      }
      if (c < ' ' || c > '~') return std::nullopt;
      value += c;
    }
    return std::nullopt;
  }
  // A string, a byte sequence or a token or number; which one does not matter to us.
  std::optional<std::string> Item() {
    if (text_.starts_with('"')) return String();
    if (Take(':')) {
      const std::size_t end = text_.find(':');
      if (end == std::string_view::npos) return std::nullopt;
      std::string value(text_.substr(0, end));
      text_.remove_prefix(end + 1);
      return value;
    }
    const std::size_t end = std::min(text_.find_first_of(" \t,;()\""), text_.size());
    std::string value(text_.substr(0, end));
    text_.remove_prefix(end);
    return value;
  }
  // ";key" or ";key=item", as often as there are.
  std::optional<std::map<std::string, std::string>> Parameters() {
    std::map<std::string, std::string> parameters;
    while (Take(';')) {
      SkipSpace();
      const std::optional<std::string> key = Key();
      if (!key) return std::nullopt;
      std::string value = "?1";
      if (Take('=')) {
        const std::optional<std::string> item = Item();
        if (!item) return std::nullopt;
        value = *item;
      }
      if (!parameters.emplace(*key, value).second) return std::nullopt;
    }
    return parameters;
  }

 private:
  static bool IsKey(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
           c == '*';
  }

  std::string_view text_;
};

struct InputMember {
  std::string label;
  std::vector<std::string> components;
  std::string parameters_text;  // As received: it is part of what was signed.
  std::map<std::string, std::string> parameters;
};

// Signature-Input: a dictionary of inner lists of strings.
std::optional<std::vector<InputMember>> ParseSignatureInput(std::string_view value) {
  std::vector<InputMember> members;
  FieldReader reader(value);
  reader.SkipSpace();
  while (!reader.AtEnd()) {
    InputMember member;
    const std::optional<std::string> label = reader.Key();
    if (!label || !reader.Take('=') || !reader.Take('(')) return std::nullopt;
    member.label = *label;
    reader.SkipSpace();
    while (!reader.Take(')')) {
      const std::optional<std::string> component = reader.String();
      if (!component) return std::nullopt;
      // A component with parameters (;sf, ;req ...) is none of ours and would be misread.
      if (!reader.rest().starts_with(' ') && !reader.rest().starts_with(')')) return std::nullopt;
      member.components.push_back(*component);
      reader.SkipSpace();
    }
    const std::string_view before = reader.rest();
    auto parameters = reader.Parameters();
    if (!parameters) return std::nullopt;
    member.parameters = std::move(*parameters);
    member.parameters_text = before.substr(0, before.size() - reader.rest().size());
    members.push_back(std::move(member));
    reader.SkipSpace();
    if (reader.AtEnd()) break;
    if (!reader.Take(',')) return std::nullopt;
    reader.SkipSpace();
  }
  return members;
}

// The byte sequence of one member of a dictionary such as Signature or Content-Digest.
std::optional<base::Bytes> ByteMember(std::string_view value, std::string_view key) {
  FieldReader reader(value);
  reader.SkipSpace();
  std::optional<base::Bytes> found;
  while (!reader.AtEnd()) {
    const std::optional<std::string> name = reader.Key();
    if (!name || !reader.Take('=')) return std::nullopt;
    const bool is_bytes = reader.rest().starts_with(':');
    const std::optional<std::string> item = reader.Item();
    if (!item || !reader.Parameters()) return std::nullopt;
    if (*name == key) {
      const Result<base::Bytes> bytes = base::Base64Decode(*item);
      if (found || !is_bytes || !bytes.ok()) return std::nullopt;
      found = *bytes;
    }
    reader.SkipSpace();
    if (reader.AtEnd()) break;
    if (!reader.Take(',')) return std::nullopt;
    reader.SkipSpace();
  }
  return found;
}

}  // namespace

bool HttpRequestHead::Header(std::string_view name, std::string* value) const {
  bool found = false;
  for (const auto& [key, text] : headers) {
    if (key != name) continue;
    if (found) {
      *value += ", ";
    } else {
      value->clear();
    }
    *value += base::Trim(text);
    found = true;
  }
  return found;
}

Result<std::string> SignatureBase(const HttpRequestHead& request,
                                  std::span<const std::string> components,
                                  std::string_view parameters) {
  std::string text;
  for (std::size_t i = 0; i < components.size(); ++i) {
    const std::string& component = components[i];
    if (std::find(components.begin(), components.begin() + static_cast<std::ptrdiff_t>(i),
                  component) != components.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Error{ErrorCode::kInvalidArgument, component + " is covered twice"};
    }
    std::string value;
    if (component == "@method") {
      value = request.method;
    } else if (component == "@path") {
      value = request.path.empty() ? "/" : request.path;
    } else if (component == "@query") {
      value = "?" + request.query;
    } else if (component == "@authority") {
      value = request.authority;
    } else if (component.starts_with('@') || !request.Header(component, &value)) {
      return Error{ErrorCode::kInvalidArgument, component + " is not in the request"};
    }
    // It would begin a line of its own.
    if (value.find_first_of("\r\n") != std::string::npos) {
      return Error{ErrorCode::kInvalidArgument, component + " holds a line break"};
    }
    text += StrCat(Quoted(component), ": ", value, "\n");
  }
  text += StrCat("\"@signature-params\": ", ListOf(components), parameters);
  return text;
}

SignatureHeaders SignRequest(const HttpRequestHead& request, std::string_view device_id,
                             const base::Ed25519Key& key) {
  const std::vector<std::string> components = Covered(request);
  const std::string parameters =
      StrCat(";keyid=", Quoted(device_id), ";alg=\"ed25519\";tag=", Quoted(kRequestTag));
  const Result<std::string> text = SignatureBase(request, components, parameters);
  CHECK(text.ok());
  const base::Ed25519Signature signature = key.Sign(base::AsBytes(*text));
  return {StrCat(kLabel, "=", ListOf(components), parameters),
          StrCat(kLabel, "=:", base::Base64Encode(signature), ":")};
}

Result<RequestSignature> ParseRequestSignature(const HttpRequestHead& request, bool has_body) {
  std::string input;
  std::string signatures;
  if (!request.Header("signature-input", &input) || !request.Header("signature", &signatures)) {
    return Refused("missing");
  }
  const auto members = ParseSignatureInput(input);
  if (!members) return Refused("malformed signature-input");
  const InputMember* ours = nullptr;
  for (const InputMember& member : *members) {
    const auto tag = member.parameters.find("tag");
    if (tag == member.parameters.end() || tag->second != kRequestTag) continue;
    if (ours != nullptr) return Refused("more than one with our tag");
    ours = &member;
  }
  if (ours == nullptr) return Refused("none with tag tlcm/1");

  const auto covers = [&](std::string_view component) {
    return std::find(ours->components.begin(), ours->components.end(), component) !=
           ours->components.end();
  };
  std::vector<std::string> needed = Covered(request);
  if (has_body && !covers("content-digest")) return Refused("does not cover content-digest");
  for (const std::string& component : needed) {
    if (!covers(component)) return Refused("does not cover " + component);
  }
  const auto algorithm = ours->parameters.find("alg");
  if (algorithm == ours->parameters.end() || algorithm->second != "ed25519") {
    return Refused("not by ed25519");
  }
  const auto keyid = ours->parameters.find("keyid");
  if (keyid == ours->parameters.end()) return Refused("no keyid");

  RequestSignature result;
  result.device_id = keyid->second;
  if (!request.Header("tlcm-audience", &result.audience) ||
      !request.Header("tlcm-nonce", &result.nonce)) {
    return Refused("no tlcm-audience or tlcm-nonce");
  }
  const Result<std::string> text = SignatureBase(request, ours->components, ours->parameters_text);
  if (!text.ok()) return Refused(text.error().message);
  result.base = *text;
  const std::optional<base::Bytes> bytes = ByteMember(signatures, ours->label);
  if (!bytes || bytes->size() != result.signature.size()) return Refused("malformed signature");
  std::copy(bytes->begin(), bytes->end(), result.signature.begin());
  return result;
}

base::Status VerifyRequestSignature(const RequestSignature& signature,
                                    const base::Ed25519PublicKey& key) {
  if (!base::VerifyEd25519(key, base::AsBytes(signature.base), signature.signature)) {
    return Refused("wrong");
  }
  return {};
}

std::string WriteContentDigest(const base::Sha256Digest& digest) {
  return StrCat("sha-256=:", base::Base64Encode(digest), ":");
}

Result<base::Sha256Digest> ParseContentDigest(std::string_view value) {
  const std::optional<base::Bytes> bytes = ByteMember(value, "sha-256");
  base::Sha256Digest digest;
  if (!bytes || bytes->size() != digest.size()) {
    return Error{ErrorCode::kInvalidArgument, "content-digest: no sha-256"};
  }
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

}  // namespace protocol
