#include "protocol/http_signature.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"

namespace protocol {
namespace {

TEST(SignatureBase, AgreesWithTheExampleOfTheRfc) {
  // RFC 9421 B.2.6: signing a request using ed25519, with the key of B.1.4. Ed25519 is
  // deterministic, so the signature must be this one, byte for byte.
  HttpRequestHead request;
  request.method = "POST";
  request.path = "/foo";
  request.query = "param=Value&Pet=dog";
  request.authority = "example.com";
  request.headers = {{"host", "example.com"},
                     {"date", "Tue, 20 Apr 2021 02:07:55 GMT"},
                     {"content-type", "application/json"},
                     {"content-length", "18"}};
  const std::vector<std::string> components = {"date",       "@method",      "@path",
                                               "@authority", "content-type", "content-length"};
  const std::string text =
      SignatureBase(request, components, ";created=1618884473;keyid=\"test-key-ed25519\"").value();
  EXPECT_EQ(text,
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n"
            "\"@method\": POST\n"
            "\"@path\": /foo\n"
            "\"@authority\": example.com\n"
            "\"content-type\": application/json\n"
            "\"content-length\": 18\n"
            "\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" "
            "\"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"");
  const base::Ed25519Key key =
      base::Ed25519Key::FromSeed(
          base::Base64Decode("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=").value())
          .value();
  EXPECT_EQ(base::Base64Encode(key.public_key()), "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=");
  EXPECT_EQ(base::Base64Encode(key.Sign(base::AsBytes(text))),
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw"
            "==");
}

class RequestSignatureTest : public testing::Test {
 protected:
  // A PUT with a body, signed.
  HttpRequestHead Put() {
    HttpRequestHead request;
    request.method = "PUT";
    request.path = "/api/v1/packages/p";
    request.headers = {{"content-digest", WriteContentDigest(base::Sha256Of(base::AsBytes("x")))},
                       {"tlcm-audience", "server"},
                       {"tlcm-nonce", "n1"}};
    Sign(request);
    return request;
  }
  void Sign(HttpRequestHead& request) {
    std::erase_if(request.headers, [](const auto& header) {
      return header.first == "signature" || header.first == "signature-input";
    });
    const SignatureHeaders headers = SignRequest(request, "d-1", key_);
    request.headers.emplace_back("signature-input", headers.signature_input);
    request.headers.emplace_back("signature", headers.signature);
  }
  static std::string& Field(HttpRequestHead& request, std::string_view name) {
    for (auto& [key, value] : request.headers) {
      if (key == name) return value;
    }
    request.headers.emplace_back(name, "");
    return request.headers.back().second;
  }
  bool Holds(const HttpRequestHead& request, bool has_body = true) {
    const auto signature = ParseRequestSignature(request, has_body);
    return signature.ok() && VerifyRequestSignature(*signature, key_.public_key()).ok();
  }

  base::Ed25519Key key_ = base::Ed25519Key::FromSeed(base::Bytes(32, 1)).value();
};

TEST_F(RequestSignatureTest, HoldsAndTellsWhoSigned) {
  const auto signature = ParseRequestSignature(Put(), true).value();
  EXPECT_EQ(signature.device_id, "d-1");
  EXPECT_EQ(signature.audience, "server");
  EXPECT_EQ(signature.nonce, "n1");
  EXPECT_TRUE(VerifyRequestSignature(signature, key_.public_key()).ok());
  EXPECT_FALSE(VerifyRequestSignature(signature, base::Ed25519Key::Generate().public_key()).ok());
}

TEST_F(RequestSignatureTest, DoesNotHoldOnceAnythingCoveredIsChanged) {
  HttpRequestHead request = Put();
  request.method = "POST";
  EXPECT_FALSE(Holds(request));
  request = Put();
  request.path += "q";
  EXPECT_FALSE(Holds(request));
  request = Put();
  request.query = "a=1";
  EXPECT_FALSE(Holds(request));
  for (const char* name : {"content-digest", "tlcm-audience", "tlcm-nonce"}) {
    request = Put();
    Field(request, name) += "x";
    EXPECT_FALSE(Holds(request)) << name;
  }
  // A header that must be covered is added afterwards.
  request = Put();
  Field(request, "upload-offset") = "0";
  EXPECT_FALSE(Holds(request));
}

TEST_F(RequestSignatureTest, CoversTheOffsetsOfAResumedUpload) {
  HttpRequestHead request = Put();
  request.method = "PATCH";
  Field(request, "upload-offset") = "1024";
  Field(request, "upload-complete") = "?1";
  Sign(request);
  EXPECT_TRUE(Holds(request));
  Field(request, "upload-offset") = "0";
  EXPECT_FALSE(Holds(request));
}

TEST_F(RequestSignatureTest, RefusesABodyThatIsNotCovered) {
  HttpRequestHead request = Put();
  std::erase_if(request.headers, [](const auto& h) { return h.first == "content-digest"; });
  Sign(request);
  EXPECT_TRUE(Holds(request, false));
  EXPECT_FALSE(Holds(request, true));
}

TEST_F(RequestSignatureTest, FindsOursBesideAProxysOwn) {
  HttpRequestHead request = Put();
  std::string& input = Field(request, "signature-input");
  input = "proxy=(\"@method\");created=1;tag=\"edge\", " + input;
  std::string& signature = Field(request, "signature");
  signature = "proxy=:AAAA:, " + signature;
  EXPECT_TRUE(Holds(request));
}

TEST_F(RequestSignatureTest, RefusesWhatIsMissingMalformedOrDoubtful) {
  const std::string good = Field(*std::make_unique<HttpRequestHead>(Put()), "signature-input");
  for (const std::string& input : std::vector<std::string>{
           "", "tlcm", "tlcm=", "tlcm=(", "tlcm=(\"@method\"", "tlcm=(\"@method\";req)",
           "tlcm=(@method);tag=\"tlcm/1\"", good + ", tlcm2" + good.substr(4),  // Two of ours.
           good + ";tag=\"tlcm/1\"",  // A parameter twice.
       }) {
    HttpRequestHead request = Put();
    Field(request, "signature-input") = input;
    EXPECT_FALSE(ParseRequestSignature(request, true).ok()) << input;
  }
  for (const char* signature : {"", "tlcm=:AAAA:", "other=:AAAA:", "tlcm=\"AAAA\"", "tlcm=:%:"}) {
    HttpRequestHead request = Put();
    Field(request, "signature") = signature;
    EXPECT_FALSE(ParseRequestSignature(request, true).ok()) << signature;
  }
  HttpRequestHead unsigned_request = Put();
  unsigned_request.headers.clear();
  EXPECT_EQ(ParseRequestSignature(unsigned_request, true).error().code,
            base::ErrorCode::kPermissionDenied);
}

TEST(ContentDigest, GoesThereAndBackAndIsFoundAmongOthers) {
  const base::Sha256Digest digest = base::Sha256Of(base::AsBytes("{\"hello\": \"world\"}"));
  // RFC 9530, section 2 and appendix D: the SHA-256 of {"hello": "world"}.
  EXPECT_EQ(WriteContentDigest(digest), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
  EXPECT_EQ(ParseContentDigest(WriteContentDigest(digest)).value(), digest);
  EXPECT_EQ(ParseContentDigest("md5=:AAAA:, " + WriteContentDigest(digest)).value(), digest);
  for (const char* value : {"", "sha-256=", "sha-256=:AAAA:", "sha-512=:AAAA:", "sha-256=X48E"}) {
    EXPECT_FALSE(ParseContentDigest(value).ok()) << value;
  }
}

}  // namespace
}  // namespace protocol
