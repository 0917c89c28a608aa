#include "agent/doctor.h"

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/findings.h"
#include "agent/layout.h"
#include "agent/machine_facts.h"
#include "agent/source_of.h"
#include "agent/verbs.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/text.h"
#include "protocol/enrolment.h"
#include "tinylcm/classify/instruction_set.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/model/litert.h"
#include "tinylcm/model/onnxruntime.h"
#include "tinylcm/model/slots.h"
#include "tinylcm/pipeline/taught.h"
#include "tinylcm/sync/enrol.h"
#include "tinylcm/sync/package_queue.h"
#include "tinylcm/sync/transport.h"

namespace agent {

namespace model = tinylcm::model;
namespace sync = tinylcm::sync;

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr base::Duration kFirstFrame{15'000};  // A camera's program may take that long to begin.
constexpr std::uint64_t kAgentBytes = 24ull << 20;  // Without its model, generously.

class Examination {
 public:
  explicit Examination(const Config& config) : config_(config), layout_(config.data) {}

  std::vector<Finding> Run(bool tries_camera) {
    Note("configuration", Health::kOk, "the configuration is well formed", "");
    for (const std::string& warning : config_.warnings) {
      Note("configuration", Health::kWarning, warning,
           "tinylcm config check says what is understood");
    }
    Folder();
    const std::uint64_t model_bytes = Bundle();
    const MachineFacts facts = ReadMachineFacts();
    Add(JudgeMemory(facts.memory_available, kAgentBytes + 3 * model_bytes));
    Add(JudgeHeat(facts));
    Note("processor", Health::kOk,
         StrCat("distances are computed with ", tinylcm::classify::InstructionSet()), "");
    Source(tries_camera);
    Add(JudgeClock(base::SystemClock().Now()));
    Add(JudgeTimeService(facts.clock_is_synchronised));
    Server();
    Queue();
    return std::move(findings_);
  }

 private:
  void Add(Finding finding) { findings_.push_back(std::move(finding)); }
  void Note(std::string check, Health health, std::string what, std::string advice) {
    Add({std::move(check), health, std::move(what), std::move(advice)});
  }

  void Folder() {
    const std::string probe = base::JoinPath(config_.data, "doctor-probe");
    Status written = Disk().CreateDirectories(config_.data);
    if (written.ok()) written = base::WriteFileDurably(Disk(), probe, base::AsBytes("probe"));
    if (written.ok()) static_cast<void>(Disk().Remove(probe).ok());
    Add(JudgeFolder(config_.data, written));
    const auto free_bytes = Disk().FreeBytes(config_.data);
    if (free_bytes.ok()) {
      Add(JudgeFreeSpace(config_.data, *free_bytes,
                         config_.sync.quota_bytes + config_.datalog_bytes));
    }
  }

  // Gives the size of the model, for the memory it will take.
  std::uint64_t Bundle() {
    auto slots = model::Slots::Open(Disk(), layout_.slots);
    const std::string current = slots.ok() ? slots->state().current : "";
    if (!slots.ok() && base::Exists(Disk(), layout_.slots)) {
      Note("bundle", Health::kWrong, slots.error().message,
           "start the agent: it sets the slots aside and installs the first bundle again");
    }
    if (current.empty() && config_.bundle.empty()) {
      Note("bundle", Health::kWarning, "the file has the prototype's form and names no bundle",
           "tinylcm fit --config FILE --out FOLDER makes one; then name it in \"bundle\"");
      return 0;
    }
    const std::string folder = current.empty() ? config_.bundle : slots->FolderOf(current);
    const auto info = Disk().Stat(folder);
    if (!info.ok()) {
      Note("bundle", Health::kWrong, StrCat(folder, ": ", info.error().message),
           "name the bundle the device comes with in \"bundle\"");
      return 0;
    }
    if (!info->is_directory) {
      const auto archive = model::VerifyArchive(Disk(), folder, nullptr);
      if (!archive.ok()) {
        Note("bundle", Health::kWrong, "the bundle: " + archive.error().message,
             "fetch it again, or sign it");
        return 0;
      }
      Note("bundle", Health::kOk,
           StrCat("the bundle is whole: ", archive->manifest.name, " ", archive->manifest.version,
                  "; its golden inputs are tried once it is installed"),
           "");
      const auto* file = archive->manifest.FileWithRole(protocol::kRoleFeatureModel);
      Runtimes(file == nullptr ? "" : file->path);
      return file == nullptr ? 0 : file->bytes;
    }
    const auto bundle =
        model::LoadBundle(Disk(), folder, {config_.model_family, config_.device_class, kVersion});
    if (!bundle.ok()) {
      Note("bundle", Health::kWrong, "the bundle: " + bundle.error().message,
           current.empty() ? "fetch it again, or fit it anew"
                           : "start the agent: after three failed starts it goes back by itself");
      return 0;
    }
    Note("bundle", Health::kOk,
         StrCat("the bundle is whole: ", bundle->manifest.name, " ", bundle->manifest.version), "");
    Runtimes(bundle->feature_model.empty() ? "" : bundle->feature_model_name);
    Golden(*bundle);
    return bundle->feature_model.size();
  }

  void Runtimes(const std::string& model_file) {
    Add(JudgeRuntime("litert", model::FindLiteRt(), model_file.ends_with(".tflite")));
    Add(JudgeRuntime("onnxruntime", model::FindOnnxRuntime(), model_file.ends_with(".onnx")));
  }

  static Status GoldenAsTaught(const model::ModelBundle& bundle,
                               std::unique_ptr<tinylcm::feature::FeatureModel> engine) {
    ASSIGN_OR_RETURN(tinylcm::adapt::Adaptation taught, tinylcm::pipeline::TaughtBy(bundle));
    ASSIGN_OR_RETURN(const auto serving, tinylcm::pipeline::Serving::Create(
                                             std::make_shared<const model::ModelBundle>(bundle),
                                             std::move(engine), std::move(taught), {}));
    return tinylcm::pipeline::CheckTaught(*serving);
  }

  // The runtime is really loaded, the model run: the answers are those of the machine it was made
  // on.
  void Golden(const model::ModelBundle& bundle) {
    std::unique_ptr<tinylcm::feature::FeatureModel> engine;
    if (!bundle.feature_model.empty()) {
      auto opened = model::OpenEngine(bundle.feature_model, bundle.engine_options());
      if (!opened.ok()) {
        Note("bundle.golden", Health::kWrong, "the model does not load: " + opened.error().message,
             "install the runtime the model is for; see the findings above");
        return;
      }
      engine = std::move(opened).value();
    }
    Status golden = model::CheckGolden(bundle, engine.get());
    if (golden.ok() && !bundle.taught.empty()) golden = GoldenAsTaught(bundle, std::move(engine));
    if (!golden.ok()) {
      Note("bundle.golden", Health::kWrong, golden.error().message,
           "this machine computes otherwise than the one that made the bundle: fit it anew here");
    } else {
      Note("bundle.golden", Health::kOk,
           StrCat(bundle.golden.count, " golden inputs give what the bundle says"), "");
    }
  }

  void Source(bool tries) {
    const SourceConfig& source = config_.source;
    if (!source.command.empty()) {
      const std::string program = ProgramOf(source.command);
      Add(JudgeCommand(program, FindProgram(program)));
    } else if (source.path != "-") {
      const auto info = Disk().Stat(source.path);
      if (info.ok()) {
        Note("source.path", Health::kOk, source.path + " is there", "");
      } else {
        Note("source.path", Health::kWrong, StrCat(source.path, ": ", info.error().message),
             "mend source.path, or make the file");
      }
    }
    if (tries) TryCamera();
  }

  void TryCamera() {
    base::Clock& clock = base::SystemClock();
    auto opened = OpenSourceOf(config_, Disk(), clock, base::NullLogger());
    if (!opened.ok()) {
      Note("source.frame", Health::kWrong, opened.error().message,
           "mend source in the configuration");
      return;
    }
    const base::Duration begin = clock.Uptime();
    std::string last = "nothing came";
    while (clock.Uptime() - begin < kFirstFrame && !(*opened)->ended()) {
      const auto frame = (*opened)->Next();
      if (!frame.ok()) {
        last = frame.error().message;
      } else if (frame->has_value()) {
        Note("source.frame", Health::kOk,
             StrCat("the first frame came after ", (clock.Uptime() - begin).count(), " ms"), "");
        return;
      }
    }
    Note("source.frame", Health::kWrong, "no frame within 15 s: " + last,
         "run source.command by hand and look what it says");
  }

  void Server() {
    if (!base::Exists(Disk(), layout_.identity)) {
      Note("enrolled", Health::kWarning, "not enrolled: the device works alone",
           "get a token from the server's admin and run: tinylcm enroll");
      return;
    }
    const auto enrolment = sync::ReadEnrolment(Disk(), layout_.identity);
    if (!enrolment.ok()) {
      Note("enrolled", Health::kWrong, StrCat(layout_.identity, ": ", enrolment.error().message),
           "remove the file and enrol again");
      return;
    }
    Note("enrolled", Health::kOk, "enrolled as " + enrolment->device_id, "");
    sync::CurlOptions curl;
    curl.server = config_.sync.server.empty() ? enrolment->server : config_.sync.server;
    curl.tls_pin = enrolment->tls_pin;
    curl.allow_insecure_http = config_.sync.insecure_http;
    auto transport = sync::MakeCurlTransport(curl);
    const std::string challenge = base::RandomHex(16);
    sync::HttpRequest request;
    request.method = "GET";
    request.path = "/api/v1/identity";
    request.query = "challenge=" + challenge;
    request.timeout = base::Duration{10'000};
    const auto answer =
        transport.ok() ? (*transport)->Do(request) : Result<sync::HttpAnswer>(transport.error());
    if (!answer.ok()) {
      Note("server", Health::kWrong, StrCat(curl.server, ": ", answer.error().message),
           "the device goes on alone and sends when the server is back");
      return;
    }
    if (answer->status != 200) {
      Note("server", Health::kWrong,
           StrCat(curl.server, " answers ", answer->status, " to the question who it is"),
           "look at the server, or at what stands between");
      return;
    }
    Note("server", Health::kOk, curl.server + " answers", "");
    const auto identity = protocol::ParseIdentity(answer->body);
    const Status verified =
        identity.ok() ? protocol::VerifyIdentity(*identity, challenge,
                                                 base::Fingerprint(enrolment->trust.server_key),
                                                 base::Fingerprint(enrolment->trust.publisher_key))
                      : Status(identity.error());
    if (verified.ok()) {
      Note("server.signature", Health::kOk, "its statement is signed by the key this device pinned",
           "");
    } else {
      Note("server.signature", Health::kWrong, verified.error().message,
           "this is another server than the one enrolled at, or something stands between: nothing "
           "it says is believed");
    }
    // A statement's time is signed; a Date header may be a proxy's.
    std::optional<base::Time> server_time;
    if (verified.ok()) {
      const auto parsed = base::ParseTime(identity->statement.server_time);
      if (parsed.ok()) server_time = *parsed;
    } else if (const std::string* date = answer->Header("date")) {
      const auto parsed = ParseHttpDate(*date);
      if (parsed.ok()) server_time = *parsed;
    }
    Add(JudgeClockAgainstServer(base::SystemClock().Now(), server_time));
  }

  void Queue() {
    const auto queue = sync::ListQueue(Disk(), layout_.queue);
    if (!queue.ok()) return;
    std::size_t dead = 0;
    for (const auto& package : queue->packages) {
      dead += package.folder == sync::QueueFolder::kDead ? 1 : 0;
    }
    if (dead > 0) {
      Note("queue", Health::kWarning, StrCat(dead, " packages were refused or damaged"),
           "tinylcm queue ls says why; queue requeue sends them again");
    }
  }

  const Config& config_;
  Layout layout_;
  std::vector<Finding> findings_;
};

struct Arguments {
  std::string config;
  bool camera = false;
  bool json = false;
};

int Doctor(const Arguments& given) {
  std::vector<Finding> findings;
  const auto text = base::ReadTextFile(Disk(), given.config, 1u << 20);
  if (!text.ok()) return base::Fail(kProgram, text.error());
  const CheckedConfig checked = CheckConfig(*text, given.config);
  for (const std::string& problem : checked.problems) {
    findings.push_back({"configuration", Health::kWrong, problem, "mend the file"});
  }
  // Nothing else can be looked at by a file that is not understood.
  if (findings.empty()) findings = Examination(checked.config).Run(given.camera);

  bool is_fine = true;
  Json list = Json::MakeArray();
  for (const Finding& finding : findings) {
    is_fine &= finding.health != Health::kWrong;
    if (given.json) {
      list.Append(ToJson(finding));
      continue;
    }
    const char* mark = finding.health == Health::kOk        ? "  ok    "
                       : finding.health == Health::kWarning ? "  warn  "
                                                            : "  WRONG ";
    std::cout << mark << finding.what << '\n';
    if (!finding.advice.empty()) std::cout << "        " << finding.advice << '\n';
  }
  if (given.json) {
    std::cout << Json::MakeObject({{"ok", is_fine}, {"findings", std::move(list)}}).WritePretty()
              << '\n';
  }
  return is_fine ? base::kExitDone : base::kExitNotSo;
}

}  // namespace

void AddDoctor(base::CommandLine& line) {
  auto given = std::make_shared<Arguments>();
  base::Command& verb = line.Add("doctor", "What is wrong here, and what to do");
  verb.Text("--config", given->config, "The agent's configuration").Required();
  verb.Flag("--camera", given->camera, "Also open the source and wait for one frame");
  verb.Flag("--json", given->json, "As JSON");
  verb.Action([given] {
    std::signal(SIGPIPE, SIG_IGN);
    return Doctor(*given);
  });
}

}  // namespace agent
