// What the server sends and the device sends: any text is a document that is written as it was
// read, or an error.

#include "protocol/adaptation_report.h"
#include "protocol/desired.h"
#include "protocol/drift_event.h"
#include "protocol/enrolment.h"
#include "protocol/feedback.h"
#include "protocol/judgement.h"
#include "protocol/learned_model.h"
#include "protocol/package.h"
#include "protocol/samples.h"
#include "protocol/statement.h"
#include "tests/fuzz/fuzz.h"

namespace {

template <typename Parse>
void ReadAndWrite(std::string_view text, const Parse& parse) {
  const auto read = parse(text);
  if (!read.ok()) return;
  const std::string written = ToJson(*read).Write();
  const auto again = parse(written);
  REQUIRE(again.ok());
  REQUIRE(ToJson(*again).Write() == written);
}

}  // namespace

FUZZ(bytes) {
  const std::string_view text = base::AsText(bytes);
  ReadAndWrite(text, protocol::ParseDesired);
  ReadAndWrite(text, protocol::ParseFeedback);
  ReadAndWrite(text, protocol::ParseStatement);
  ReadAndWrite(text, protocol::ParseDriftEvent);
  ReadAndWrite(text, protocol::ParseSampleSet);
  ReadAndWrite(text, protocol::ParseAdaptationReport);
  ReadAndWrite(text, protocol::ParseLearnedModel);
  ReadAndWrite(text, protocol::ParseJudgement);
  ReadAndWrite(text, protocol::ParseValidationSet);
  (void)protocol::ParseEnrolmentToken(text).ok();
  (void)protocol::ParsePackageManifest(bytes).ok();
  (void)protocol::ParseRowsCsv(text).ok();
}
