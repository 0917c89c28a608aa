#include "tinysphere/platform/openssl/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "base/crypto.h"
#include "base/text.h"

namespace tinysphere::openssl {

using base::Error;
using base::ErrorCode;

namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using KeyPointer = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertificatePointer = std::unique_ptr<X509, Freer<X509_free>>;
using BioPointer = std::unique_ptr<BIO, Freer<BIO_free>>;
using ExtensionPointer = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;

Error Failed(const char* what) {
  ERR_clear_error();
  return {ErrorCode::kInternal, base::StrCat("certificate: ", what, " failed")};
}

bool IsAddress(const std::string& name) {
  return name.find(':') != std::string::npos || std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || c == '.';
         });
}

bool AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionPointer extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

base::Result<CertificateAndKey> MakeSelfSignedCertificate(const std::vector<std::string>& names,
                                                          base::Time now, int days) {
  if (names.empty() || days < 1) {
    return Error{ErrorCode::kInvalidArgument, "certificate: needs a name and a day"};
  }
  const KeyPointer key(EVP_EC_gen("P-256"));
  const CertificatePointer certificate(X509_new());
  if (!key || !certificate) return Failed("making the key");

  std::string alternatives;
  for (const std::string& name : names) {
    // A comma or colon would begin another entry in OpenSSL's little language.
    if (name.empty() || name.find_first_of(",\n ") != std::string::npos) {
      return Error{ErrorCode::kInvalidArgument, base::StrCat("certificate: name \"", name, "\"")};
    }
    if (!alternatives.empty()) alternatives += ",";
    alternatives += (IsAddress(name) ? "IP:" : "DNS:") + name;
  }

  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  const auto seconds = static_cast<std::time_t>(now.time_since_epoch().count() / 1000);
  constexpr std::time_t kDay = 24 * 60 * 60;
  X509* const x509 = certificate.get();
  X509_NAME* const subject = X509_get_subject_name(x509);
  const bool is_made =
      X509_set_version(x509, X509_VERSION_3) == 1 &&
      ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial >> 1) == 1 &&
      ASN1_TIME_set(X509_getm_notBefore(x509), seconds - kDay) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(x509), seconds + days * kDay) != nullptr &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(names.front().c_str()), -1,
                                 -1, 0) == 1 &&
      X509_set_issuer_name(x509, subject) == 1 && X509_set_pubkey(x509, key.get()) == 1 &&
      AddExtension(x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      AddExtension(x509, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
      AddExtension(x509, NID_ext_key_usage, "serverAuth") &&
      AddExtension(x509, NID_subject_alt_name, alternatives) &&
      AddExtension(x509, NID_subject_key_identifier, "hash") &&
      X509_sign(x509, key.get(), EVP_sha256()) != 0;
  if (!is_made) return Failed("signing it");

  const BioPointer certificate_bio(BIO_new(BIO_s_mem()));
  const BioPointer key_bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_bio.get(), x509) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_bio.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1) {
    return Failed("writing it");
  }
  return CertificateAndKey{.certificate_pem = TextOf(certificate_bio.get()),
                           .key_pem = TextOf(key_bio.get())};
}

base::Result<std::string> SpkiPin(std::string_view certificate_pem) {
  const BioPointer bio(
      BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const CertificatePointer certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) {
    ERR_clear_error();
    return Error{ErrorCode::kInvalidArgument, "certificate: is no PEM certificate"};
  }
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
  if (size <= 0) return Failed("reading its key");
  const base::Sha256Digest digest =
      base::Sha256Of(base::ByteView(der, static_cast<std::size_t>(size)));
  OPENSSL_free(der);
  return base::Base64UrlEncode(digest);
}

}  // namespace tinysphere::openssl
