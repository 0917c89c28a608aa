#include "agent/validate_verb.h"

#include <iostream>
#include <memory>

#include "agent/validate.h"
#include "agent/verbs.h"
#include "base/crypto.h"
#include "base/text.h"
#include "tinylcm/model/engine.h"

namespace agent {

namespace {

int RunValidate(ValidateOptions options) {
  if (options.scratch.empty()) {
    options.scratch = base::StrCat("/tmp/tinylcm-validate-", base::RandomHex(8));
  }
  const auto judgement = Validate(options, Disk(), tinylcm::model::OpenEngine);
  if (!judgement.ok()) return base::Fail(kProgram, judgement.error().Within("validate"));
  std::cout << protocol::ToJson(*judgement).Write() << '\n';
  return base::kExitDone;
}

}  // namespace

void AddValidate(base::CommandLine& line) {
  auto options = std::make_shared<ValidateOptions>();
  base::Command& verb =
      line.Add("validate", "Judge an adaptation by people's labels: did it help or harm?");
  verb.Text("--bundle", options->bundle, "The base bundle: a folder or FILE.tar.zst").Required();
  verb.Text("--adaptation", options->adaptation, "adaptation.bin, as a device sent it").Required();
  verb.Text("--champion", options->champion,
            "What served before it; without, it is compared with the bundle alone");
  verb.Text("--samples", options->samples,
            "samples.json: labelled samples, their pictures beside it")
      .Required();
  verb.Text("--scratch", options->scratch, "A new folder to unpack into; removed at the end");
  verb.Action([options] { return RunValidate(*options); });
}

}  // namespace agent
