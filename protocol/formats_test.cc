// The examples of docs/formats are read as any other input; what is signed in them verifies.

#include <gtest/gtest.h>

#include "base/file_system.h"
#include "base/text.h"
#include "protocol/adaptation_report.h"
#include "protocol/bundle.h"
#include "protocol/desired.h"
#include "protocol/drift_event.h"
#include "protocol/enrolment.h"
#include "protocol/feedback.h"
#include "protocol/http_signature.h"
#include "protocol/judgement.h"
#include "protocol/learned_model.h"
#include "protocol/metrics.h"
#include "protocol/package.h"
#include "protocol/safetensors.h"
#include "protocol/samples.h"
#include "protocol/statement.h"
#include "protocol/update_report.h"

namespace protocol {
namespace {

std::string Page(const std::string& name) {
  return base::ReadTextFile(base::SystemFileSystem(), "docs/formats/" + name + ".md", 1 << 20)
      .value();
}

// What stands between the n-th pair of fences of this kind.
std::string Block(const std::string& name, const std::string& kind, int n = 0) {
  const std::string page = Page(name);
  for (std::size_t at = page.find("```"); at != std::string::npos; at = page.find("```", at)) {
    const std::size_t begin = page.find('\n', at) + 1;
    const std::size_t end = page.find("```", begin);
    if (page.substr(at + 3, begin - at - 4) == kind && n-- == 0) {
      return page.substr(begin, end - begin);
    }
    at = end + 3;
  }
  ADD_FAILURE() << name << ": no such block";
  return {};
}
std::string Example(const std::string& name) {
  return std::string(base::Trim(Block(name, "json")));
}

const base::Ed25519Key& ServerKey() {
  static const base::Ed25519Key key = base::Ed25519Key::FromSeed(base::Bytes(32, 1)).value();
  return key;
}
const base::Ed25519Key& DeviceKey() {
  static const base::Ed25519Key key = base::Ed25519Key::FromSeed(base::Bytes(32, 2)).value();
  return key;
}

template <typename T>
void ExpectRead(const std::string& name, const base::Result<T>& result) {
  EXPECT_TRUE(result.ok()) << name << ": " << (result.ok() ? "" : result.error().message);
}

TEST(Formats, TheirExamplesAreRead) {
  ExpectRead("adaptation", ParseAdaptationReport(Example("adaptation")));
  ExpectRead("bundle", ParseBundleManifest(base::AsBytes(Example("bundle"))));
  ExpectRead("desired", ParseDesired(Example("desired")));
  ExpectRead("drift_event", ParseDriftEvent(Example("drift_event")));
  ExpectRead("enrolment", ParseEnrolRequest(Example("enrolment")));
  ExpectRead("feedback", ParseFeedback(Example("feedback")));
  ExpectRead("metrics", ParseDeviceMetrics(Example("metrics")));
  ExpectRead("judgement", ParseJudgement(Example("judgement")));
  ExpectRead("model", ParseLearnedModel(Example("model")));
  ExpectRead("samples", ParseSampleSet(Example("samples")));
  ExpectRead("update_report", ParseUpdateReport(Example("update_report")));
}

TEST(Formats, TheExampleOfAPackageIsSigned) {
  const std::string manifest = Example("package");
  ASSERT_TRUE(ParsePackageManifest(base::AsBytes(manifest)).ok());
  const std::string signature =
      base::HexEncode(SignManifest(kPackageSignaturePrefix, base::AsBytes(manifest), DeviceKey()));
  EXPECT_NE(Page("package").find(signature), std::string::npos);
}

TEST(Formats, TheExampleOfAStatementVerifies) {
  const Statement statement = ParseStatement(Example("statement")).value();
  EXPECT_TRUE(VerifyStatement(statement, ServerKey().public_key()).ok());
  EXPECT_EQ(Block("statement", "", 1), StatementText(statement));
}

TEST(Formats, TheExampleOfARequestVerifies) {
  const std::string text = Block("request_signature", "");
  HttpRequestHead head;
  std::string body;
  bool in_body = false;
  for (const std::string_view line : base::Split(base::Trim(text), '\n')) {
    if (in_body) {
      body = line;
    } else if (line.empty()) {
      in_body = true;
    } else if (head.method.empty()) {
      const auto parts = base::Split(line, ' ');
      head.method = parts[0];
      head.path = parts[1];
    } else {
      const std::size_t colon = line.find(": ");
      head.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
  }
  const RequestSignature signature = ParseRequestSignature(head, true).value();
  EXPECT_TRUE(VerifyRequestSignature(signature, DeviceKey().public_key()).ok());
  EXPECT_EQ(signature.base + "\n", Block("request_signature", "", 1));
  std::string digest;
  ASSERT_TRUE(head.Header("content-digest", &digest));
  EXPECT_EQ(ParseContentDigest(digest).value(), base::Sha256Of(base::AsBytes(body)));
}

TEST(Formats, TheExampleOfSafetensorsIsRead) {
  const std::string header = R"({"t":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
  ASSERT_NE(Page("safetensors").find("`" + header + "` is " + std::to_string(header.size())),
            std::string::npos);
  base::Bytes file = {static_cast<std::uint8_t>(header.size()), 0, 0, 0, 0, 0, 0, 0};
  file.insert(file.end(), header.begin(), header.end());
  file.resize(file.size() + 16, 0);
  EXPECT_TRUE(Safetensors::Parse(file).ok());
}

}  // namespace
}  // namespace protocol
