// How many stored packages a second of one processor's time are taken apart: read, understood, put
// into the object store and into the database, with everything that hangs on it (runs for MLflow's
// outbox among it). Every type of package equally often, as devices send them; an SQLite database
// and a folder of objects, both flushed as in service. The baseline only reads the same archives to
// their end, as the receiver does: uncompressed, hashed, compared.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "protocol/package.h"
#include "protocol/safetensors.h"
#include "protocol/sketches.h"
#include "tinysphere/command/installation.h"
#include "tinysphere/command/sphere.h"

namespace {

using protocol::PackageFile;

constexpr int kDevices = 8;
constexpr int kRounds = 10;      // Of packages of a type from each device.
constexpr double kTarget = 200;  // Packages a second and core.
constexpr std::string_view kBundle =
    "1e6ed65d77d6364eeaed5a745ba5c4985ae2b700dd85d7cf7f027bdf294a33fc";

base::Random random_numbers(7);

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

PackageFile TextFile(const std::string& path, const std::string& text) {
  return {path, "application/json", base::ToBytes(text)};
}

// As large and as hard to compress as a small picture.
base::Bytes Picture() {
  base::Bytes bytes(6000);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random_numbers.Uniform() * 256);
  bytes[0] = 0xff;
  bytes[1] = 0xd8;
  return bytes;
}

std::string Metrics(int n) {
  return base::StrCat(
      R"({"format":"tinylcm-metrics/1","at":"2026-11-20T12:00:00.000Z","window_ms":60000,)",
      R"("frames":)", 1000 + n, R"(,"frames_window":900,"skipped":1,"dropped":0,"log_dropped":0,)",
      R"("fps":15.0,"confidence_mean":0.94,"distance_mean":0.21,"accuracy_estimated":0.94,)",
      R"("confidence_histogram":[],"latency_ms_p50":9.1,"latency_ms_p95":12.4,)",
      R"("latency_ms_p99":15.0,"stages":[{"name":"model","p50_ms":7.0,"p95_ms":9.0,"p99_ms":9.9,)",
      R"("sketch":[[181,880],[188,20]]}],"class_mix":[{"label":"3","count":17}],)",
      R"("rss_bytes":41943040,"cpu_percent":22.5,"temperature_c":null,"disk_free_bytes":null,)",
      R"("link":{"up":true,"interface":"wlan0","signal_dbm":-56.0,"last_contact":null},)",
      R"("queue_packages":0,"queue_bytes":0,"packages_made":12,"packages_evicted":0,)",
      R"("packages_dead":0,"drift_state":"stable","mode":"autonomous","adaptation":null,)",
      R"("model":{"name":"digits","version":"1.0.0","model_family":"digits-camera","bundle":""}})");
}

std::string Samples(const std::string& event_id, const std::string& stem, int count) {
  std::string samples;
  for (int i = 0; i < count; ++i) {
    samples += base::StrCat(
        i == 0 ? "" : ",", R"({"sample_id":")", stem, "-", i, R"(","index":)", i,
        R"(,"prediction":"1","confidence":0.5,"neighbours":[{"anchor":12,"label":"1",)",
        R"("distance":0.25},{"anchor":13,"label":"2","distance":0.5}],"reason":"medoid of 40",)",
        R"("cluster_mass":0.4,"feature":"features.safetensors#)", i, R"(","media":"images/s)", i,
        R"(.jpg"})");
  }
  return base::StrCat(R"({"format":"tinylcm-samples/1","event_id":")", event_id,
                      R"(","labels":["0","1"],"samples":[)", samples,
                      R"(],"reference_row_mean":null,"reference_row_sd":null})");
}

void AddMedia(std::vector<PackageFile>& files, int count) {
  protocol::Safetensors features;
  features.Add("features", {static_cast<std::size_t>(count), 64},
               std::vector<float>(static_cast<std::size_t>(count) * 64, 0.5f));
  files.push_back({"features.safetensors", "application/octet-stream", features.Write()});
  for (int i = 0; i < count; ++i) {
    files.push_back({base::StrCat("images/s", i, ".jpg"), "image/jpeg", Picture()});
  }
}

base::Bytes SketchFile() {
  protocol::Sketches sketches;
  sketches.bundle = std::string(kBundle);
  sketches.first_index = 1;
  sketches.last_index = 1000;
  sketches.samples.assign(10, 100);
  sketches.ranks = {{"anchor_distance", std::vector(10, std::vector<std::int64_t>(20, 5))},
                    {"margin", std::vector(10, std::vector<std::int64_t>(20, 5))}};
  sketches.dims = 64;
  sketches.feature_mean.assign(640, 0.25f);
  sketches.feature_m2.assign(640, 1.5f);
  return protocol::WriteSketches(sketches);
}

// What a device of that number sends as its n-th package of a type.
std::vector<PackageFile> FilesOf(std::string_view type, int device, int n) {
  const std::string event_id = base::StrCat("e-", device, "-", n);
  const std::string stem = base::StrCat(type, "-", device, "-", n);
  if (type == "metrics") return {TextFile("metrics.json", Metrics(n))};
  if (type == "update_report") {
    return {TextFile(
        "update_report.json",
        R"({"format":"tinylcm-update-report/1","at":"2026-11-20T12:00:00.000Z",)"
        R"("deployment_id":"","outcome":"running","running":{"bundle":"","name":"digits",)"
        R"("version":"1.1.0","model_family":"digits-camera","labels":["0","1"]},)"
        R"("previous_bundle":null,"attempted_bundle":null,"detail":"","health":{"swap_gap_ms":0.4,)"
        R"("golden_ok":true,"canary_accuracy":0.98,"agreement":0.97,"latency_ms_p95":12.0,)"
        R"("rss_bytes":41943040},"adaptation":{"hypothesis_kept":null,"challenger_kept":null,)"
        R"("labels_kept":0,"labels_dropped":0}})")};
  }
  if (type == "adaptation") {
    return {TextFile(
        "adaptation.json",
        base::StrCat(R"({"format":"tinylcm-adaptation/1","adaptation_id":"a-)", device, "-", n,
                     R"(","at":"2026-11-20T12:00:00.000Z","sample_index":18400,)",
                     R"("state":"probation","event_id":null,"feedback_id":null,)",
                     R"("hypothesis":"gain","challenger":"memory","candidates":[{"stage":)",
                     R"("challenger","name":"memory","score":0.95,"distance_ratio":null,)",
                     R"("verdict":"served","reason":""}],"labels":[],"label_accuracy_before":0.6,)",
                     R"("label_accuracy_after":0.95,"canary_before":0.98,"canary_after":0.98,)",
                     R"("snapshot":null,"text":"Memory serves."})"))};
  }
  if (type == "model") {
    base::Bytes learned = Picture();
    learned.resize(20'000, static_cast<std::uint8_t>(n));
    learned[2] = static_cast<std::uint8_t>(device);
    const std::string sha256 = base::Sha256Hex(learned);
    return {TextFile("model.json",
                     base::StrCat(R"({"format":"tinylcm-model/1","base_bundle":")", kBundle,
                                  R"(","name":"digits","version":"1.2.0","hypothesis":"identity",)",
                                  R"("challenger":"mean","labels":24,"vectors":40,)",
                                  R"("adaptation_sha256":")", sha256,
                                  R"(","event_id":null,"canary_before":0.98,"canary_after":0.98,)",
                                  R"("opened":[],"taught_by":["f1"]})")),
            {"adaptation.bin", "application/octet-stream", learned}};
  }
  if (type == "drift_event" || type == "samples") {
    std::vector<PackageFile> files;
    if (type == "drift_event") {
      files.push_back(TextFile(
          "drift_event.json",
          base::StrCat(
              R"({"format":"tinylcm-drift-event/1","event_id":")", event_id,
              R"(","sample_index":18234,"kind":"abrupt","severity":{"sigma":2.4,)",
              R"("accuracy_drop":null,"interval":null},"evidence":{"log10_e":6.2,)",
              R"("target_samples":1000000},"change_point":{"sample_index":18197,"interval":null},)",
              R"("signals":[{"name":"anchor_distance","share":1.0,"shift_sigma":2.4}],)",
              R"("classes":[{"label":"3","share":0.55}],"channels":[],"samples":[],)",
              R"("text":"Distances rose.","suppressed_since_last":0})")));
    }
    files.push_back(TextFile("samples.json", Samples(event_id, stem, 12)));
    AddMedia(files, 12);
    return files;
  }
  if (type == "sketches") {
    return {{"sketches.safetensors", "application/octet-stream", SketchFile()}};
  }
  std::string lines;
  if (type == "operational_logs") {
    for (int i = 0; i < 500; ++i) {
      lines += base::StrCat(R"({"at":"2026-11-20T12:00:00.127Z","kind":"sync","text":"sent )", i,
                            " of ", 1000 * n + i, "\"}\n");
    }
    return {TextFile("events.jsonl", lines)};
  }
  std::vector<PackageFile> files = {TextFile("predictions.jsonl", "")};
  for (int i = 0; i < 12; ++i) {
    lines += base::StrCat(R"({"at":"2026-11-20T12:00:00.127Z","index":)", i,
                          R"(,"frame":28,"prediction":"cat","confidence":0.14,"distance":0.4,)",
                          R"("adaptation":1,"signal":"steady","us":[1,0,1,17]})", "\n");
    files.push_back(
        {base::StrCat("images/00000000000", i % 10, "_", i < 10 ? "drift" : "every", ".jpg"),
         "image/jpeg", Picture()});
  }
  files[0].bytes = base::ToBytes(lines);
  return files;
}

constexpr std::string_view kTypes[] = {"metrics",     "update_report",    "adaptation",
                                       "drift_event", "samples",          "model",
                                       "sketches",    "operational_logs", "prediction_images"};

class NoSink final : public protocol::FileSink {
 public:
  base::Status Begin(const protocol::NamedFile&) override { return {}; }
  base::Status Append(base::ByteView) override { return {}; }
  base::Status End() override { return {}; }
};

int Run(const std::string& folder) {
  using namespace tinysphere;
  const auto fail = [](const std::string& what) {
    std::fprintf(stderr, "processing: %s\n", what.c_str());
    return 1;
  };
  auto opened = command::Open({.data = folder, .database = "", .objects = ""}, true, true);
  if (!opened.ok()) return fail(opened.error().message);
  command::Installation& installation = **opened;
  const std::string spool = base::JoinPath(folder, "spool");
  std::filesystem::create_directories(spool);
  command::SphereOptions options;
  options.spool = spool;
  options.uploads = spool;
  command::Sphere sphere(installation, options, base::NullLogger());
  std::uint64_t seq = 0;
  std::uint64_t bytes = 0;
  std::size_t packages = 0;
  std::vector<base::Bytes> archives;
  std::vector<std::pair<std::string, base::Ed25519Key>> devices;
  for (int i = 0; i < kDevices; ++i) {
    base::Ed25519Key key = base::Ed25519Key::Generate();
    const std::string id = protocol::DeviceIdOf(key.public_key());
    const auto made = sphere.database.Write([&](store::Transaction& transaction) -> base::Status {
      RETURN_IF_ERROR(transaction.Execute(
          "INSERT INTO devices (device_id, name, state, enrolled_at, fingerprint) "
          "VALUES ($1, $1, 'active', 0, '')",
          {id}));
      const auto public_key = key.public_key();
      RETURN_IF_ERROR(transaction.Execute(
          "INSERT INTO device_keys (device_id, key_count, public_key, created_at) "
          "VALUES ($1, 1, $2, 0)",
          {id, base::Bytes(public_key.begin(), public_key.end())}));
      return {};
    });
    if (!made.ok()) return fail(made.error().message);
    devices.emplace_back(id, std::move(key));
  }
  // One turn: a package of each type from each device, put as the receiver puts it, then unpacked.
  double best = 1e300;
  double best_wall = 1e300;
  double best_read = 1e300;
  for (int round = 0; round < kRounds; ++round) {
    archives.clear();
    for (int d = 0; d < kDevices; ++d) {
      const auto& [id, key] = devices[static_cast<std::size_t>(d)];
      for (const std::string_view type : kTypes) {
        protocol::PackageManifest manifest;
        manifest.name = {.device_id = id, .epoch = "0123456789abcdef", .seq = ++seq};
        manifest.type = type;
        manifest.created_at = installation.clock.Now();
        manifest.clock_trusted = true;
        manifest.boot = "77ab77ab77ab77ab";
        manifest.agent_version = "0.1.0";
        manifest.bundle = kBundle;
        const auto built = protocol::BuildPackage(manifest, FilesOf(type, d, round), key,
                                                  protocol::ArchiveFormat::kTarGz);
        if (!built.ok()) return fail(built.error().message);
        const std::string path = base::JoinPath(spool, base::StrCat("p", seq));
        const base::Status written = base::WriteFileDurably(installation.fs, path, *built);
        if (!written.ok()) return fail(written.error().message);
        const auto answer = sphere.receiver.Take({.device_id = id,
                                                  .package_id = manifest.name.id(),
                                                  .path = path,
                                                  .bytes = built->size(),
                                                  .sha256 = base::Sha256Hex(*built)});
        if (!answer.ok() || answer->status != 201) return fail("a package was not stored");
        archives.push_back(*built);
        bytes += built->size();
        packages += 1;
      }
    }
    const double read_from = CpuSeconds();
    for (const base::Bytes& archive : archives) {
      protocol::MemorySource source(archive);
      auto reader = protocol::SignedArchiveReader::Open(source, {});
      if (!reader.ok()) return fail(reader.error().message);
      const auto manifest = protocol::ParsePackageManifest(reader->manifest_bytes());
      NoSink sink;
      if (!manifest.ok() || !reader->ReadFiles(manifest->files, sink).ok()) {
        return fail("an archive does not read");
      }
    }
    best_read = std::min(best_read, CpuSeconds() - read_from);
    const double from = CpuSeconds();
    const auto wall_from = std::chrono::steady_clock::now();
    std::size_t done = 0;
    for (;;) {
      const auto jobs =
          sphere.queue.ClaimSome(std::string(ingest::kUnpackJob), installation.clock.Now(),
                                 base::Duration(60'000), ingest::kUnpackedTogether);
      if (!jobs.ok()) return fail(jobs.error().message);
      if (jobs->empty()) break;
      for (const base::Status& status : sphere.unpacker.UnpackSome(*jobs)) {
        if (!status.ok()) return fail(status.error().message);
        done += 1;
      }
    }
    if (done != archives.size()) return fail("not every package was done");
    best = std::min(best, CpuSeconds() - from);
    best_wall = std::min(
        best_wall,
        std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_from).count());
  }
  const auto processed = sphere.database.QueryOne(
      "SELECT COUNT(*) AS n FROM packages WHERE state = 'processed' AND processed_at IS NOT NULL");
  if (!processed.ok() || (*processed)->Int("n") != static_cast<std::int64_t>(packages)) {
    return fail("the database does not have every package as processed");
  }
  const auto count = static_cast<double>(archives.size());
  const double rate = count / best;
  bench::Print({.name = "processing.packages_per_s",
                .value = rate,
                .unit = "packages/s of processor time",
                .better = "higher",
                .baseline = count / best_read,
                .conditions = base::StrCat(
                    archives.size(), " packages a turn, nine types equally often, ",
                    bytes / packages / 1000, " kB each; best of ", kRounds,
                    " turns; one thread, 16 packages a transaction; SQLite and a folder, flushed; ",
                    static_cast<std::int64_t>(count / best_wall),
                    " a second by the clock; baseline: reading the archives only"),
                .target = ">= 200",
                .met = rate >= kTarget});
  return 0;
}

}  // namespace

int main() {
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("processing-" + base::RandomHex(8))).string();
  const int code = Run(folder);
  std::filesystem::remove_all(folder);
  return code;
}
