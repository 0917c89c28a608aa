// tinylcm: the device's one binary. This is the list of what it can do.

#include "agent/config_verbs.h"
#include "agent/detect_verb.h"
#include "agent/device_verbs.h"
#include "agent/doctor.h"
#include "agent/evaluate_verb.h"
#include "agent/log_verbs.h"
#include "agent/report_verb.h"
#include "agent/run_length_verb.h"
#include "agent/state_verbs.h"
#include "agent/validate_verb.h"
#include "agent/verbs.h"

int main(int argc, char** argv) {
  base::CommandLine line(
      agent::kProgram,
      "Runs a model in the field, notices when the world has changed, and adapts "
      "only as far as it can be undone.",
      agent::kVersion);
  agent::AddRun(line);
  agent::AddEnroll(line);
  agent::AddStatus(line);
  agent::AddReport(line);
  agent::AddDoctor(line);
  agent::AddConfig(line);
  agent::AddLog(line);
  agent::AddErase(line);
  agent::AddQueue(line);
  agent::AddState(line);
  agent::AddFit(line);
  agent::AddBundle(line);
  agent::AddReplay(line);
  agent::AddDetect(line);
  agent::AddRunLength(line);
  agent::AddEvaluate(line);
  agent::AddValidate(line);
  return line.Run(argc, argv);
}
