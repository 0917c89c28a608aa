#include "tinysphere/adaptation/judging.h"

#include <map>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/feedback/consensus.h"
#include "tinysphere/fleet/timeline.h"

namespace tinysphere::adaptation {

using base::Error;
using base::ErrorCode;
using base::Json;
using protocol::JudgementKind;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr std::size_t kSamplesMax = 2000;
constexpr double kWeightOfTruth = 0.5;  // A label with no more of the votes is nobody's truth.
constexpr std::size_t kReasonBytesMax = 300;
constexpr char kBy[] = "judgement";

// What a program said, as one line that a person can read.
std::string OneLine(std::string_view text) {
  text = base::Trim(text);
  const std::size_t last = text.find_last_of('\n');
  if (last != std::string_view::npos) text = text.substr(last + 1);
  std::string line(text.substr(0, kReasonBytesMax));
  for (char& c : line) {
    // Bytes beyond ASCII might be cut in the middle, and JSON takes none that are no UTF-8.
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return line;
}

std::string Points(double share) {
  const int points = static_cast<int>(share * 100.0 + (share < 0.0 ? -0.5 : 0.5));
  return base::StrCat(points > 0 ? "+" : "", points);
}

std::string InWords(const protocol::Judgement& judgement) {
  const std::string name = protocol::Name(judgement.judgement);
  if (!judgement.interval || !judgement.difference) {
    return base::StrCat("adaptation judged: ", name, " (", judgement.reason, ")");
  }
  return base::StrCat("adaptation judged by ", judgement.labels, " labels: ", name, " (",
                      Points(*judgement.difference), " points, ", Points((*judgement.interval)[0]),
                      " to ", Points((*judgement.interval)[1]), ")");
}

}  // namespace

struct Judging::Subject {
  struct Sample {
    std::string sample_id;
    std::string label;
    std::string object_key;  // Of a picture; "" for a row.
    std::vector<double> row;
  };
  std::string device_id;
  std::string adaptation_sha256;
  std::string champion_sha256;
  std::string event_id;
  std::string bundle;
  std::string bundle_key;  // "" where it is not registered here.
  std::int64_t wanted = 0;
  std::string judged_before;  // The judgement so far; "" if there was none.
  std::vector<Sample> samples;
  std::int64_t contradicted = 0;  // Left out: no label has more than half of its reviewers.
  bool was_ordered_back = false;  // By whomever, whatever became of it.
};

protocol::Judgement UnknownBecause(std::string reason) {
  protocol::Judgement judgement;
  judgement.reason = std::move(reason);
  return judgement;
}

base::Result<protocol::Judgement> ReadProgramEnd(const ProgramEnd& end) {
  if (end.exit_code != 0) {
    const std::string said = OneLine(end.err);
    return Error{ErrorCode::kCorrupt, base::StrCat("the replay ended with ", end.exit_code,
                                                   said.empty() ? "" : ": ", said)};
  }
  auto judgement = protocol::ParseJudgement(base::Trim(end.out));
  if (!judgement.ok()) {
    return Error{ErrorCode::kCorrupt, base::StrCat("the replay said no judgement: ",
                                                   OneLine(judgement.error().message))};
  }
  return judgement;
}

base::Status Judging::Open(base::Logger& logger) {
  RETURN_IF_ERROR(base::RemoveTree(fs_, options_.folder));
  RETURN_IF_ERROR(fs_.CreateDirectories(options_.folder));
  const base::Status there = program_.Check();
  if (!there.ok()) {
    logger.Warning("adaptations cannot be judged: " + there.error().message);
    return {};
  }
  return adaptations_.WantVoidJudgements();
}

Json Judging::StateJson() {
  const base::Status there = program_.Check();
  return Json::MakeObject(
      {{"is_possible", there.ok()}, {"reason", there.ok() ? Json() : Json(there.error().message)}});
}

base::Result<Judging::Subject> Judging::Gather(const std::string& device_id,
                                               const std::string& sha256) {
  return database_.Read([&](Transaction& transaction) -> base::Result<Subject> {
    ASSIGN_OR_RETURN(
        const auto row,
        transaction.QueryOne("SELECT a.champion_sha256, a.event_id, a.bundle, a.wanted, "
                             "a.judgement, b.object_key FROM adapted a "
                             "LEFT JOIN bundles b ON b.bundle = a.bundle "
                             "WHERE a.device_id = $1 AND a.adaptation_sha256 = $2",
                             {device_id, sha256}));
    if (!row) return Error{ErrorCode::kNotFound, "no adaptation " + sha256};
    Subject subject{.device_id = device_id,
                    .adaptation_sha256 = sha256,
                    .champion_sha256 = row->Text("champion_sha256"),
                    .event_id = row->Text("event_id"),
                    .bundle = row->Text("bundle"),
                    .bundle_key = row->Text("object_key"),
                    .wanted = row->Int("wanted"),
                    .judged_before = {},
                    .samples = {},
                    .contradicted = 0,
                    .was_ordered_back = false};
    const Json before = row->Document("judgement");
    if (const Json* kind = before.Find("judgement"); kind != nullptr && kind->is_string()) {
      subject.judged_before = kind->as_string();
    }
    ASSIGN_OR_RETURN(const auto ordered,
                     transaction.QueryOne("SELECT order_id FROM adaptation_orders WHERE "
                                          "device_id = $1 AND adaptation_sha256 = $2 AND "
                                          "order_name = 'roll_back' LIMIT 1",
                                          {device_id, sha256}));
    subject.was_ordered_back = ordered.has_value();
    if (subject.event_id.empty()) return subject;
    ASSIGN_OR_RETURN(const Rows words,
                     transaction.Query("SELECT sample_id, label, given_by, at FROM verdicts WHERE "
                                       "event_id = $1 AND device_id = $2 AND is_current = 1 AND "
                                       "sample_id IS NOT NULL AND label IS NOT NULL "
                                       "ORDER BY verdict_id",
                                       {subject.event_id, device_id}));
    std::map<std::string, std::vector<feedback::Word>> by_sample;
    for (const Row& word : words) {
      by_sample[word.Text("sample_id")].push_back(
          {.by = word.Text("given_by"), .label = word.Text("label"), .at = word.Time("at")});
    }
    ASSIGN_OR_RETURN(const Rows samples,
                     transaction.Query("SELECT sample_id, object_key, row_values FROM "
                                       "drift_samples WHERE event_id = $1 AND device_id = $2 "
                                       "ORDER BY rank, sample_id",
                                       {subject.event_id, device_id}));
    for (const Row& sample : samples) {
      const auto said = by_sample.find(sample.Text("sample_id"));
      if (said == by_sample.end() || subject.samples.size() >= kSamplesMax) continue;
      const auto agreed = feedback::Agree(said->second);
      // A device learns less from a label that is contradicted; as truth it is worth nothing.
      if (!(agreed->weight > kWeightOfTruth)) {
        subject.contradicted += 1;
        continue;
      }
      Subject::Sample taken{.sample_id = sample.Text("sample_id"),
                            .label = agreed->label,
                            .object_key = sample.Text("object_key"),
                            .row = {}};
      const Json values = sample.Document("row_values");
      if (taken.object_key.empty() && values.is_array()) {
        for (const Json& value : values.as_array()) taken.row.push_back(value.as_double());
      }
      if (!taken.object_key.empty() || !taken.row.empty()) {
        subject.samples.push_back(std::move(taken));
      }
    }
    return subject;
  });
}

base::Status Judging::CopyObject(const std::string& key, const std::string& path) {
  ASSIGN_OR_RETURN(const auto source, objects_.Get(key));
  ASSIGN_OR_RETURN(const auto target, fs_.Create(path, base::FileSystem::Mode::kExclusive));
  base::Bytes block(256u << 10);
  for (std::uint64_t offset = 0;;) {
    ASSIGN_OR_RETURN(const std::size_t count, source->ReadAt(offset, block));
    if (count == 0) break;
    RETURN_IF_ERROR(target->Append({block.data(), count}));
    offset += count;
  }
  return target->Close();
}

base::Result<protocol::Judgement> Judging::ReplayIn(const Subject& subject,
                                                    const std::string& folder) {
  RETURN_IF_ERROR(fs_.CreateDirectories(folder));
  const auto path = [&](std::string_view name) { return base::JoinPath(folder, name); };
  RETURN_IF_ERROR(CopyObject(subject.bundle_key, path("bundle.tar.zst")));
  RETURN_IF_ERROR(
      CopyObject(BytesKey(subject.device_id, subject.adaptation_sha256), path("adaptation.bin")));
  std::vector<std::string> arguments = {"validate",
                                        "--bundle",
                                        path("bundle.tar.zst"),
                                        "--adaptation",
                                        path("adaptation.bin"),
                                        "--samples",
                                        path("samples.json"),
                                        "--scratch",
                                        path("scratch")};
  if (!subject.champion_sha256.empty()) {
    RETURN_IF_ERROR(
        CopyObject(BytesKey(subject.device_id, subject.champion_sha256), path("champion.bin")));
    arguments.insert(arguments.end(), {"--champion", path("champion.bin")});
  }
  protocol::ValidationSet set;
  for (const Subject::Sample& sample : subject.samples) {
    std::string picture;
    if (!sample.object_key.empty()) {
      // A name of ours: what a device calls its samples names no file here.
      picture = base::StrCat(set.samples.size(), ".jpg");
      RETURN_IF_ERROR(CopyObject(sample.object_key, path(picture)));
    }
    set.samples.push_back({.sample_id = sample.sample_id,
                           .label = sample.label,
                           .picture = picture,
                           .row = sample.row});
  }
  {
    ASSIGN_OR_RETURN(const auto file,
                     fs_.Create(path("samples.json"), base::FileSystem::Mode::kExclusive));
    RETURN_IF_ERROR(file->Append(base::AsBytes(protocol::ToJson(set).Write())));
    RETURN_IF_ERROR(file->Close());
  }
  ASSIGN_OR_RETURN(const ProgramEnd end, program_.Run(arguments, options_.limits));
  return ReadProgramEnd(end);
}

base::Result<protocol::Judgement> Judging::Replay(const Subject& subject) {
  const std::string folder = base::JoinPath(options_.folder, base::RandomHex(8));
  auto judgement = ReplayIn(subject, folder);
  const base::Status swept = base::RemoveTree(fs_, folder);
  if (judgement.ok() && !swept.ok()) return swept.error();
  return judgement;
}

base::Status Judging::Judge(const store::Job& job) {
  const auto parsed = Json::Parse(job.payload);
  if (!parsed.ok()) return parsed.error();
  base::JsonReader payload(*parsed, "job");
  const std::string device_id = payload.String("device_id");
  const std::string sha256 = payload.String("adaptation_sha256");
  const std::int64_t number = payload.Int("number");
  RETURN_IF_ERROR(payload.status());
  ASSIGN_OR_RETURN(const Subject subject, Gather(device_id, sha256));
  if (number < subject.wanted) {
    // A later job judges by all that this one knows, and more.
    return database_.Write(
        [&](Transaction& transaction) { return queue_.Complete(transaction, job); });
  }
  Outcome outcome;
  if (subject.samples.empty()) {
    outcome.judgement = UnknownBecause("no sample of its event has a label and a picture or row");
  } else if (subject.bundle_key.empty()) {
    outcome = {UnknownBecause(base::StrCat("the bundle ", subject.bundle.substr(0, 8),
                                           " that it stands on is not registered here")),
               /*is_void=*/true};
  } else {
    auto replayed = Replay(subject);
    if (replayed.ok()) {
      outcome.judgement = std::move(replayed).value();
    } else if (replayed.error().code == ErrorCode::kUnavailable) {
      return replayed.error();  // Not started, or the server stops: tried again.
    } else {
      outcome = {UnknownBecause(replayed.error().message), /*is_void=*/true};
    }
  }
  if (subject.contradicted > 0) {
    outcome.judgement.reason += base::StrCat(
        "; ", subject.contradicted, " left out, for their reviewers contradict each other");
  }
  return Keep(subject, job, number, outcome);
}

base::Status Judging::Keep(const Subject& subject, const store::Job& job, std::int64_t number,
                           const Outcome& outcome) {
  const base::Time now = clock_.Now();
  std::string ordered;
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ordered.clear();
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE adapted SET judgement = $3, judged_at = $4, judged = $5, is_void = $6 "
        "WHERE device_id = $1 AND adaptation_sha256 = $2 AND judged <= $5",
        {subject.device_id, subject.adaptation_sha256, protocol::ToJson(outcome.judgement).Write(),
         now, number, outcome.is_void}));
    if (judged_ && outcome.judgement.labels > 0) {
      RETURN_IF_ERROR(judged_(transaction, subject.device_id, subject.bundle,
                              subject.adaptation_sha256, number, outcome.judgement));
    }
    const std::string judged = protocol::Name(outcome.judgement.judgement);
    const bool is_harmful = outcome.judgement.judgement == JudgementKind::kHarmful;
    if (judged != subject.judged_before) {
      RETURN_IF_ERROR(fleet::Note(transaction, {.at = now,
                                                .device_id = subject.device_id,
                                                .kind = is_harmful ? "alert" : "adaptation",
                                                .text = InWords(outcome.judgement),
                                                .ref = subject.event_id}));
    }
    if (is_harmful && options_.rolls_back_harmful && !subject.was_ordered_back) {
      const auto order =
          adaptations_.Order(transaction, subject.device_id, subject.adaptation_sha256,
                             protocol::AdaptationOrder::kRollBack, kBy);
      // What serves no more needs no rollback; should it serve again, the next judgement orders it.
      if (order.ok()) {
        ordered = *order;
      } else if (order.error().code != ErrorCode::kConflict) {
        return order.error();
      }
    }
    return queue_.Complete(transaction, job);
  });
  if (!written.ok()) return written;
  events_.Publish("device", Json::MakeObject({{"id", subject.device_id}}));
  if (!subject.event_id.empty()) {
    events_.Publish("drift_event", Json::MakeObject({{"id", subject.event_id}}));
  }
  if (!ordered.empty()) events_.Publish("feedback", Json::MakeObject({{"id", ordered}}));
  return {};
}

}  // namespace tinysphere::adaptation
