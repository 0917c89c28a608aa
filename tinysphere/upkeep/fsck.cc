#include "tinysphere/upkeep/fsck.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/store/buckets.h"
#include "tinysphere/store/object_key.h"
#include "tinysphere/upkeep/owners.h"

namespace tinysphere::upkeep {

using base::ErrorCode;
using base::StrCat;
using store::ObjectInfo;

namespace {

constexpr std::size_t kPage = 1000;

// What a row says about an object.
struct Said {
  std::string by;                      // The row, for people.
  std::optional<std::uint64_t> bytes;  // nullopt where it does not say.
  std::string sha256;                  // "" where it does not say.
  bool is_required = true;             // Otherwise it may be there.
};
using SaidByKey = std::map<std::string, Said>;

// Rows give object_key, said_by and, as far as they know them, bytes and sha256. Of one device
// ($1), or of all.
struct Source {
  std::string_view bucket;
  bool is_of_device = true;
  std::string_view sql;
  bool knows_content = false;
  bool is_required = true;
};

constexpr Source kSources[] = {
    {.bucket = "packages",
     .sql = "SELECT object_key, package_id AS said_by, bytes, sha256 FROM packages "
            "WHERE device_id = $1 AND state <> 'expired'",
     .knows_content = true},
    {.bucket = "adaptations",
     .sql = "SELECT 'adaptations/' || device_id || '/' || adaptation_sha256 AS object_key, "
            "'adaptation of ' || device_id AS said_by FROM adapted WHERE device_id = $1"},
    {.bucket = "adaptations",
     .sql = "SELECT 'adaptations/' || device_id || '/' || champion_sha256 AS object_key, "
            "'champion of ' || device_id AS said_by FROM adapted WHERE device_id = $1 AND "
            "champion_sha256 <> ''"},
    {.bucket = "adaptations",
     .sql = "SELECT object_key, package_id AS said_by, bytes, adaptation_sha256 AS sha256 "
            "FROM learned_versions WHERE device_id = $1",
     .knows_content = true},
    {.bucket = "",  // Of "drift" what came with an event, of "drift-samples" what was asked for.
     .sql = "SELECT object_key, sample_id AS said_by FROM drift_samples "
            "WHERE device_id = $1 AND object_key <> ''"},
    {.bucket = "drift-features",  // "<key>#<row>"
     .sql = "SELECT feature AS object_key, sample_id AS said_by FROM drift_samples "
            "WHERE device_id = $1 AND feature <> ''"},
    {.bucket = "drift-samples",
     .is_of_device = false,
     .sql = "SELECT 'drift-samples/verdicts/' || feedback_id || '.jsonl' AS object_key, "
            "feedback_id AS said_by FROM feedback",
     .is_required = false},
    {.bucket = "data-logs",
     .sql = "SELECT object_key, package_id AS said_by FROM logs_index WHERE device_id = $1"},
    {.bucket = "prediction-images",
     .sql = "SELECT object_key, sample_id AS said_by FROM images_index WHERE device_id = $1"},
    {.bucket = "bundles",
     .is_of_device = false,
     .sql = "SELECT object_key, bundle AS said_by, bytes, archive_sha256 AS sha256 FROM bundles",
     .knows_content = true},
    {.bucket = "",  // Of whichever bucket.
     .is_of_device = false,
     .sql = "SELECT object_key, run_id AS said_by, bytes, sha256 FROM run_artifacts "
            "WHERE object_key <> ''",
     .knows_content = true},
};

// The objects of a bucket, in the order of their keys.
class Cursor {
 public:
  Cursor(store::ObjectStore& objects, std::string prefix)
      : objects_(objects), prefix_(std::move(prefix)) {}

  // nullptr after the last.
  base::Result<const ObjectInfo*> Peek() {
    if (next_ == page_.size() && !is_at_end_) {
      const std::string after = page_.empty() ? "" : page_.back().key;
      ASSIGN_OR_RETURN(page_, objects_.List(prefix_, after, kPage));
      next_ = 0;
      is_at_end_ = page_.empty();
    }
    return is_at_end_ ? nullptr : &page_[next_];
  }
  void Next() { ++next_; }

 private:
  store::ObjectStore& objects_;
  const std::string prefix_;
  std::vector<ObjectInfo> page_;
  std::size_t next_ = 0;
  bool is_at_end_ = false;
};

class Check {
 public:
  Check(store::Database& database, store::ObjectStore& objects, base::Clock& clock,
        const FsckOptions& options)
      : database_(database),
        objects_(objects),
        options_(options),
        young_(clock.Now() - options.grace) {}

  base::Result<FsckCounts> Run() {
    ASSIGN_OR_RETURN(const auto owners, ReadOwners(database_));
    for (const store::Bucket& bucket : store::kBuckets) {
      RETURN_IF_ERROR(CheckBucket(bucket.name, owners));
    }
    return counts_;
  }

 private:
  // Device by device, in the order in which the objects come. `shared`: what is of no device.
  base::Status CheckBucket(std::string_view bucket,
                           const std::map<std::string, std::string>& owners) {
    const std::string begins = StrCat(bucket, "/");
    ASSIGN_OR_RETURN(SaidByKey shared, Load(bucket, std::nullopt));
    counts_.rows += Required(shared);
    Cursor cursor(objects_, begins);
    // '/' sorts among the characters of an owner.
    std::map<std::string, std::string> in_order;
    for (const auto& [part, device_id] : owners) {
      in_order[StrCat(begins, part, "/")] = device_id;
    }
    for (const auto& [prefix, device_id] : in_order) {
      ASSIGN_OR_RETURN(SaidByKey said, Load(bucket, device_id));
      counts_.rows += Required(said);
      while (true) {
        ASSIGN_OR_RETURN(const ObjectInfo* object, cursor.Peek());
        if (object == nullptr) break;
        const bool is_its = object->key.starts_with(prefix);
        if (!is_its && object->key > prefix) break;
        RETURN_IF_ERROR(Compare(*object, is_its ? said : shared, shared));
        cursor.Next();
      }
      RETURN_IF_ERROR(ReportMissing(said, bucket, device_id));
    }
    while (true) {
      ASSIGN_OR_RETURN(const ObjectInfo* object, cursor.Peek());
      if (object == nullptr) break;
      RETURN_IF_ERROR(Compare(*object, shared, shared));
      cursor.Next();
    }
    return ReportMissing(shared, bucket, std::nullopt);
  }

  static std::uint64_t Required(const SaidByKey& said) {
    std::uint64_t count = 0;
    for (const auto& [key, one] : said) count += one.is_required ? 1 : 0;
    return count;
  }

  base::Result<SaidByKey> Load(std::string_view bucket,
                               const std::optional<std::string>& device_id) {
    SaidByKey said;
    for (const Source& source : kSources) {
      const bool is_of_any = source.bucket.empty();
      if ((source.bucket != bucket && !is_of_any) || source.is_of_device != device_id.has_value()) {
        continue;
      }
      store::Params params;
      if (device_id) params.emplace_back(*device_id);
      ASSIGN_OR_RETURN(const store::Rows rows, database_.Query(source.sql, params));
      for (const store::Row& row : rows) {
        std::string key = row.Text("object_key");
        key.resize(std::min(key.size(), key.find('#')));
        if (is_of_any && !key.starts_with(StrCat(bucket, "/"))) continue;
        Said one{.by = row.Text("said_by"),
                 .bytes = std::nullopt,
                 .sha256 = "",
                 .is_required = source.is_required};
        if (source.knows_content) {
          one.bytes = static_cast<std::uint64_t>(row.Int("bytes"));
          one.sha256 = row.Text("sha256");
        }
        // Two rows may say the same object; the one that knows more is kept.
        const auto [at, is_new] = said.emplace(std::move(key), one);
        if (!is_new && source.knows_content) at->second = one;
      }
    }
    return said;
  }

  // What was said about an object that is there is taken out of `said`.
  base::Status Compare(const ObjectInfo& object, SaidByKey& said, SaidByKey& shared) {
    ++counts_.objects;
    counts_.bytes += object.bytes;
    for (SaidByKey* where : {&said, &shared}) {
      const auto found = where->find(object.key);
      if (found == where->end()) continue;
      const Said one = std::move(found->second);
      where->erase(found);
      return CompareContent(object, one);
    }
    if (object.modified >= young_) return {};
    ASSIGN_OR_RETURN(const bool is_of_event, IsOfKnownEvent(object.key));
    if (is_of_event) return {};
    Report(Problem::Kind::kOrphan, object.key, StrCat(object.bytes, " bytes"));
    return {};
  }

  // Rows and features lie with their event, though no row names them:
  // "drift/<device>/<kind>/<day>/<event>/rows.csv", "drift-features/<device>/<event>.safetensors"
  // or, of what was asked for later, "<event>.<seq>.safetensors".
  base::Result<bool> IsOfKnownEvent(const std::string& key) {
    constexpr std::string_view kFeaturesEnd = ".safetensors";
    const std::vector<std::string_view> parts = base::Split(key, '/');
    std::vector<std::string_view> named;
    if (parts[0] == "drift" && parts.size() == 6) {
      named = {parts[4]};
    } else if (parts[0] == "drift-features" && parts.size() == 3 &&
               parts[2].ends_with(kFeaturesEnd)) {
      const std::string_view whole = parts[2].substr(0, parts[2].size() - kFeaturesEnd.size());
      named = {whole, whole.substr(0, whole.rfind('.'))};
    }
    for (const std::string_view name : named) {
      std::string event_id(name);
      std::replace(event_id.begin(), event_id.end(), '=', ':');  // store::IdKeyPart
      ASSIGN_OR_RETURN(
          const auto row,
          database_.QueryOne("SELECT device_id FROM drift_events WHERE event_id = $1", {event_id}));
      if (row && store::IdKeyPart(row->Text("device_id")) == parts[1]) return true;
    }
    return false;
  }

  base::Status CompareContent(const ObjectInfo& object, const Said& said) {
    if (said.bytes && *said.bytes != object.bytes) {
      Report(Problem::Kind::kDamaged, object.key,
             StrCat(object.bytes, " bytes, ", said.by, " says ", *said.bytes));
      return {};
    }
    if (said.sha256.empty() || !options_.reads_contents) return {};
    const auto file = objects_.Get(object.key);
    if (!file.ok()) {
      if (file.error().code == ErrorCode::kNotFound) return {};  // Removed meanwhile.
      return file.error();
    }
    ++counts_.hashed;
    const auto sha256 = base::Sha256OfFile(**file);
    if (!sha256.ok() && sha256.error().code != ErrorCode::kCorrupt) return sha256.error();
    if (sha256.ok() && base::HexEncode(*sha256) == said.sha256) return {};
    Report(Problem::Kind::kDamaged, object.key,
           StrCat("its SHA-256 is not what ", said.by, " says"));
    return {};
  }

  base::Status ReportMissing(const SaidByKey& left, std::string_view bucket,
                             const std::optional<std::string>& device_id) {
    std::optional<SaidByKey> now;
    for (const auto& [key, one] : left) {
      if (!one.is_required) continue;
      ASSIGN_OR_RETURN(const bool is_there, objects_.Exists(key));
      if (is_there) continue;  // Came after the page of its neighbours.
      if (!now) {
        ASSIGN_OR_RETURN(now, Load(bucket, device_id));
      }
      if (!now->contains(key)) continue;  // The row went meanwhile.
      Report(Problem::Kind::kMissing, key, one.by);
    }
    return {};
  }

  void Report(Problem::Kind kind, const std::string& object_key, std::string detail) {
    switch (kind) {
      case Problem::Kind::kMissing:
        ++counts_.missing;
        break;
      case Problem::Kind::kOrphan:
        ++counts_.orphans;
        break;
      case Problem::Kind::kDamaged:
        ++counts_.damaged;
        break;
    }
    options_.found({.kind = kind, .object_key = object_key, .detail = std::move(detail)});
  }

  store::Database& database_;
  store::ObjectStore& objects_;
  const FsckOptions& options_;
  const base::Time young_;
  FsckCounts counts_;
};

}  // namespace

const char* Name(Problem::Kind kind) {
  switch (kind) {
    case Problem::Kind::kMissing:
      return "missing";
    case Problem::Kind::kOrphan:
      return "orphan";
    case Problem::Kind::kDamaged:
      return "damaged";
  }
  return "";
}

base::Result<FsckCounts> Fsck(store::Database& database, store::ObjectStore& objects,
                              base::Clock& clock, const FsckOptions& options) {
  return Check(database, objects, clock, options).Run();
}

}  // namespace tinysphere::upkeep
