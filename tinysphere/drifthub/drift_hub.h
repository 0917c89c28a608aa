// DriftHub: drift events and their samples, and what people say about them.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/drift_event.h"
#include "protocol/feedback.h"
#include "protocol/samples.h"
#include "tinysphere/adaptation/adaptations.h"
#include "tinysphere/feedback/feedbacks.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/router.h"
#include "tinysphere/rollout/desired_states.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::drifthub {

// Where an event or a sample came from.
struct Origin {
  std::string device_id;
  std::string package_id;
  std::string bundle;
  base::Time received_at{};
  bool answers_request = false;  // The package is what people asked for beyond the question.
};

// A sample as it is stored: the record and where its picture or row is.
struct StoredSample {
  protocol::SampleRecord record;
  std::string object_key;  // Of the picture; "" if there is none.
  std::vector<float> row;  // Of a sensor; empty if there is none.
  std::string feature{};   // "<object key>#<row>" of its feature vector; "" if there is none.
};

struct Verdict {
  std::string sample_id;
  std::optional<std::string> label;  // nullopt takes the label back, whoever gave it.
  bool opens_class = false;          // It is a class of its own, on purpose.
};

struct Verdicts {
  std::vector<Verdict> labels;
  std::optional<protocol::EventVerdict> event_verdict;
};

// Of an event, beyond its question and in all, whoever asks however often.
inline constexpr std::int64_t kMoreSamplesMax = 1000;

inline constexpr std::string_view kVerdictFileJob = "verdict_file";

// May be used from several threads.
class DriftHub {
 public:
  // All must outlive it.
  DriftHub(store::Database& database, store::ObjectStore& objects, store::Queue& queue,
           base::Clock& clock, http::EventHub& events, feedback::Feedbacks& feedbacks,
           adaptation::Adaptations& adaptations, const rollout::DesiredStates& desired)
      : database_(database),
        objects_(objects),
        queue_(queue),
        clock_(clock),
        events_(events),
        feedbacks_(feedbacks),
        adaptations_(adaptations),
        desired_(desired) {}

  // Idempotent. kConflict if another device has used that id.
  base::Status TakeEvent(store::Transaction& transaction, const Origin& origin,
                         const protocol::DriftEvent& event);
  // Idempotent. kUnavailable while the event they belong to is not here yet.
  base::Status TakeSamples(store::Transaction& transaction, const Origin& origin,
                           const protocol::SampleSet& set,
                           const std::vector<StoredSample>& samples);

  base::Result<base::Json> List(const http::Request& request);
  base::Result<base::Json> Get(const std::string& event_id);
  base::Result<http::Response> Image(const http::Request& request, const std::string& sample_id);

  // A person wants to see `samples` more of an event. Waits in the device's desired state until its
  // package came, with or without any. Gives what the event page shows as "more_samples"; asked
  // again meanwhile, the same. kConflict where no more may be asked for.
  base::Result<base::Json> AskForMore(const std::string& event_id, std::int64_t samples,
                                      const std::string& by);

  // A person's labels. Gives {"feedback_id"}; null where nothing new was said.
  base::Result<base::Json> Give(const std::string& event_id, const Verdicts& verdicts,
                                const std::string& by);

  // Does a job kVerdictFileJob and completes it: the verdicts that made a feedback, as an object
  // that is never rewritten.
  base::Status KeepVerdictFile(const store::Job& job);

  void AddRoutes(http::Router& router);

 private:
  base::Result<base::Json> SamplesJson(store::Transaction& transaction,
                                       const std::string& event_id);
  base::Status CheckVerdicts(store::Transaction& transaction, const store::Row& event,
                             const Verdicts& verdicts);
  base::Status Record(store::Transaction& transaction, const store::Row& event,
                      const Verdicts& verdicts, const std::string& by, base::Time now);
  base::Result<feedback::Said> Gather(store::Transaction& transaction, const store::Row& event);

  store::Database& database_;
  store::ObjectStore& objects_;
  store::Queue& queue_;
  base::Clock& clock_;
  http::EventHub& events_;
  feedback::Feedbacks& feedbacks_;
  adaptation::Adaptations& adaptations_;
  const rollout::DesiredStates& desired_;
};

}  // namespace tinysphere::drifthub
