// Judging: whether an adaptation helped, by replaying it against what people said.
//
//   verdicts ─┐
//   pictures, rows ─┼─▶ a folder ─▶ tinylcm validate (a child process) ─▶ judgement ─▶ shown
//   base bundle ─┤                                                          └─▶ may order the
//   rollback adaptation.bin, champion.bin ─┘
//
// The child may take long, say nonsense or die: then the judgement is "unknown" and says why.
// Nothing waits for it; it has a thread of its own.

#pragma once

#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"
#include "protocol/judgement.h"
#include "tinysphere/adaptation/adaptations.h"
#include "tinysphere/adaptation/program.h"
#include "tinysphere/http/events.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::adaptation {

struct JudgingOptions {
  std::string folder;               // For what the child reads; a folder in it a judgement.
  bool rolls_back_harmful = false;  // A harmful one is ordered back without a person.
  ProgramLimits limits{};
};

// May be used from several threads.
class Judging {
 public:
  // All must outlive it.
  Judging(store::Database& database, store::ObjectStore& objects, store::Queue& queue,
          base::FileSystem& fs, base::Clock& clock, http::EventHub& events,
          Adaptations& adaptations, Program& program, JudgingOptions options)
      : database_(database),
        objects_(objects),
        queue_(queue),
        fs_(fs),
        clock_(clock),
        events_(events),
        adaptations_(adaptations),
        program_(program),
        options_(std::move(options)) {}

  // Empties the folder and looks for the program; where there is one, what could not be judged
  // before is asked for again.
  base::Status Open(base::Logger& logger);

  // Called in the transaction that keeps a judgement which rests on labels. At most one; before the
  // first.
  using Judged = std::function<base::Status(
      store::Transaction&, const std::string& device_id, const std::string& bundle,
      const std::string& adaptation_sha256, std::int64_t number, const protocol::Judgement&)>;
  void OnJudged(Judged judged) { judged_ = std::move(judged); }

  // Does a job kJudgeJob and completes it. An error is the database's or that the server stops;
  // whatever else goes wrong is a judgement.
  base::Status Judge(const store::Job& job);

  // {"is_possible", "reason"}
  base::Json StateJson();

 private:
  struct Subject;
  struct Outcome {
    protocol::Judgement judgement;
    bool is_void = false;  // It came of no replay.
  };

  base::Result<Subject> Gather(const std::string& device_id, const std::string& sha256);
  base::Result<protocol::Judgement> Replay(const Subject& subject);
  base::Result<protocol::Judgement> ReplayIn(const Subject& subject, const std::string& folder);
  base::Status CopyObject(const std::string& key, const std::string& path);
  base::Status Keep(const Subject& subject, const store::Job& job, std::int64_t number,
                    const Outcome& outcome);

  store::Database& database_;
  store::ObjectStore& objects_;
  store::Queue& queue_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  http::EventHub& events_;
  Adaptations& adaptations_;
  Program& program_;
  JudgingOptions options_;
  Judged judged_;
};

// The judgement of what could not be judged.
protocol::Judgement UnknownBecause(std::string reason);

// What the child said, as a judgement: an error where it failed or said none.
base::Result<protocol::Judgement> ReadProgramEnd(const ProgramEnd& end);

}  // namespace tinysphere::adaptation
