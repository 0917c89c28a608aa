#include "tinysphere/upkeep/retention.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/store/buckets.h"
#include "tinysphere/store/schema.h"
#include "tinysphere/upkeep/owners.h"

namespace tinysphere::upkeep {

using base::Error;
using base::ErrorCode;
using store::Params;
using store::Transaction;

namespace {

constexpr std::size_t kPage = 1000;
constexpr std::size_t kKeysAtOnce = 100;  // In one statement.
constexpr base::Duration kDay{24LL * 60 * 60 * 1000};
constexpr std::string_view kSweptSetting = "retention_swept_at";

// What becomes of the rows that pointed to a bucket's objects. Each statement is about one device
// ($1) and ends where the list of keys is put.
struct Rule {
  std::string_view bucket;
  std::string_view waiting = "";  // Selects the keys of what must stay.
  std::string_view forget = "";
  bool holds_features = false;  // "<key>#<row>" in drift_samples.feature.
};

constexpr std::string_view kForgetPictures =
    "UPDATE drift_samples SET object_key = '', media = 'expired' WHERE device_id = $1 AND "
    "object_key IN ";

constexpr Rule kRules[] = {
    {.bucket = "packages",
     .waiting = "SELECT object_key FROM packages WHERE device_id = $1 AND state = 'stored' AND "
                "object_key IN ",
     .forget = "UPDATE packages SET state = 'expired' WHERE device_id = $1 AND state IN "
               "('processed', 'failed') AND object_key IN "},
    {.bucket = "drift", .forget = kForgetPictures},
    {.bucket = "drift-samples", .forget = kForgetPictures},
    {.bucket = "drift-features", .holds_features = true},
    {.bucket = "data-logs",
     .forget = "DELETE FROM logs_index WHERE device_id = $1 AND object_key IN "},
    {.bucket = "prediction-images",
     .forget = "DELETE FROM images_index WHERE device_id = $1 AND object_key IN "},
};

const Rule* RuleOf(std::string_view bucket) {
  for (const Rule& rule : kRules) {
    if (rule.bucket == bucket) return &rule;
  }
  return nullptr;
}

std::string SettingOf(std::string_view bucket) { return base::StrCat("retention.", bucket); }

// "($2, $3, $4)" for three keys, appended; the parameters that go with it.
std::pair<std::string, Params> WithKeys(std::string_view sql, const std::string& device_id,
                                        std::span<const std::string> keys) {
  std::string whole(sql);
  Params params = {device_id};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    whole += base::StrCat(i == 0 ? "($" : ", $", i + 2);
    params.emplace_back(keys[i]);
  }
  return {whole + ")", std::move(params)};
}

// Calls `work(device_id, keys)` with some keys of one device at a time.
template <typename Work>
base::Status ForEachDevice(const std::map<std::string, std::string>& owners,
                           std::span<const std::string> keys, Work work) {
  for (std::size_t from = 0; from < keys.size();) {
    const std::string_view owner = OwnerOf(keys[from]);
    std::size_t to = from;
    while (to < keys.size() && to - from < kKeysAtOnce && OwnerOf(keys[to]) == owner) ++to;
    const auto device = owners.find(std::string(owner));
    if (device != owners.end()) {
      RETURN_IF_ERROR(work(device->second, keys.subspan(from, to - from)));
    }
    from = to;
  }
  return {};
}

// Samples whose feature vectors lie in one of these files.
base::Status ForgetFeatures(Transaction& transaction, const std::string& device_id,
                            std::span<const std::string> keys) {
  ASSIGN_OR_RETURN(const store::Rows rows,
                   transaction.Query("SELECT sample_id, feature FROM drift_samples "
                                     "WHERE device_id = $1 AND feature <> ''",
                                     {device_id}));
  for (const store::Row& row : rows) {
    const std::string feature = row.Text("feature");
    const std::string key = feature.substr(0, feature.find('#'));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) continue;
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE drift_samples SET feature = '' WHERE device_id = $1 AND sample_id = $2",
        {device_id, row.Text("sample_id")}));
  }
  return {};
}

// Takes what must stay out of `due`, and has the rows of the rest say that it went.
base::Status Forget(Transaction& transaction, const Rule& rule,
                    const std::map<std::string, std::string>& owners, bool is_dry,
                    std::map<std::string, std::uint64_t>& due) {
  std::vector<std::string> keys;
  for (const auto& [key, bytes] : due) keys.push_back(key);
  return ForEachDevice(
      owners, keys,
      [&](const std::string& device_id, std::span<const std::string> some) -> base::Status {
        if (!rule.waiting.empty()) {
          const auto [sql, params] = WithKeys(rule.waiting, device_id, some);
          ASSIGN_OR_RETURN(const store::Rows rows, transaction.Query(sql, params));
          for (const store::Row& row : rows) due.erase(row.Text("object_key"));
        }
        if (is_dry) return {};
        if (rule.holds_features) return ForgetFeatures(transaction, device_id, some);
        const auto [sql, params] = WithKeys(rule.forget, device_id, some);
        ASSIGN_OR_RETURN([[maybe_unused]] const std::int64_t changed,
                         transaction.Execute(sql, params));
        return {};
      });
}

}  // namespace

base::Result<std::vector<Kept>> Retention::Read() {
  return database_.Read([&](Transaction& transaction) -> base::Result<std::vector<Kept>> {
    std::vector<Kept> all;
    for (const store::Bucket& bucket : store::kBuckets) {
      Kept kept{.bucket = std::string(bucket.name),
                .what = std::string(bucket.what),
                .may_expire = bucket.may_expire,
                .age = std::nullopt};
      ASSIGN_OR_RETURN(const auto text, store::ReadSetting(transaction, SettingOf(bucket.name)));
      if (text && !text->empty()) {
        ASSIGN_OR_RETURN(kept.age, base::ParseDuration(*text));
      }
      all.push_back(std::move(kept));
    }
    return all;
  });
}

base::Status Retention::Set(const std::string& bucket, std::optional<base::Duration> age,
                            const std::string& by) {
  const auto known = std::find_if(store::kBuckets.begin(), store::kBuckets.end(),
                                  [&](const store::Bucket& b) { return b.name == bucket; });
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("retention of ", bucket, ": ", why)};
  };
  if (known == store::kBuckets.end()) return refuse("there is no such bucket");
  if (age && !known->may_expire) {
    return refuse(base::StrCat("it holds ", known->what, ", which are kept for good"));
  }
  if (age && *age < kKeptAtLeast) return refuse("at least an hour is kept");
  const std::string text = age ? base::FormatDuration(*age) : "";
  return database_.Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(store::WriteSetting(transaction, SettingOf(bucket), text));
    return access::WriteAudit(transaction, {.at = clock_.Now(),
                                            .who = by,
                                            .action = "retention.set",
                                            .subject = bucket,
                                            .detail = age ? text : "for good"});
  });
}

base::Result<Swept> Retention::Sweep(const std::string& bucket, base::Time before, bool is_dry,
                                     const std::function<bool()>& is_told_to_stop) {
  Swept swept{.bucket = bucket};
  ASSIGN_OR_RETURN(const auto owners, ReadOwners(database_));
  const Rule* rule = RuleOf(bucket);
  std::string after;
  while (!is_told_to_stop()) {
    ASSIGN_OR_RETURN(const auto page, objects_.List(bucket + "/", after, kPage));
    if (page.empty()) break;
    after = page.back().key;
    std::map<std::string, std::uint64_t> due;
    for (const store::ObjectInfo& object : page) {
      if (object.modified >= before || object.key.starts_with(store::kKeptForGood)) continue;
      due[object.key] = object.bytes;
    }
    const std::size_t old_enough = due.size();
    if (rule != nullptr) {
      const auto ask = [&](Transaction& transaction) {
        return Forget(transaction, *rule, owners, is_dry, due);
      };
      const base::Status asked = is_dry ? database_.Read(ask) : database_.Write(ask);
      if (!asked.ok()) return asked.error();
    }
    swept.waiting += old_enough - due.size();
    swept.objects += due.size();
    std::vector<std::string> keys;
    for (const auto& [key, bytes] : due) {
      swept.bytes += bytes;
      keys.push_back(key);
    }
    if (!is_dry && !keys.empty()) RETURN_IF_ERROR(objects_.DeleteAll(keys));
  }
  return swept;
}

base::Result<std::vector<Swept>> Retention::Run(bool is_dry,
                                                const std::function<bool()>& is_told_to_stop) {
  ASSIGN_OR_RETURN(const std::vector<Kept> kept, Read());
  std::vector<Swept> all;
  const base::Time now = clock_.Now();
  for (const Kept& one : kept) {
    if (!one.age || !one.may_expire) continue;
    ASSIGN_OR_RETURN(Swept swept, Sweep(one.bucket, now - *one.age, is_dry, is_told_to_stop));
    all.push_back(std::move(swept));
  }
  return all;
}

base::Result<std::optional<std::vector<Swept>>> Retention::RunDaily(
    const std::function<bool()>& is_told_to_stop) {
  const base::Time now = clock_.Now();
  ASSIGN_OR_RETURN(
      const bool is_due, database_.Write([&](Transaction& transaction) -> base::Result<bool> {
        ASSIGN_OR_RETURN(const auto last, store::ReadSetting(transaction, kSweptSetting));
        const auto at = base::ParseTime(last.value_or(""));
        // A time to come is a clock's that was wrong.
        if (at.ok() && *at <= now && now - *at < kDay) return false;
        RETURN_IF_ERROR(store::WriteSetting(transaction, kSweptSetting, base::FormatTime(now)));
        return true;
      }));
  if (!is_due) return std::optional<std::vector<Swept>>();
  ASSIGN_OR_RETURN(std::vector<Swept> swept, Run(/*is_dry=*/false, is_told_to_stop));
  return std::optional(std::move(swept));
}

}  // namespace tinysphere::upkeep
