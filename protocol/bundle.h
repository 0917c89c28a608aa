// Bundle: what a device runs, signed by its publisher. docs/formats/bundle.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"
#include "protocol/signed_archive.h"

namespace protocol {

inline constexpr std::string_view kBundleFormat = "tinylcm-bundle/1";
inline constexpr std::string_view kBundleSignaturePrefix = "tinylcm-bundle/1\n";

inline constexpr std::string_view kRoleFeatureModel = "feature_model";
inline constexpr std::string_view kRoleProcessor = "processor";
inline constexpr std::string_view kRoleReference = "reference";
inline constexpr std::string_view kRoleCanary = "canary";
inline constexpr std::string_view kRoleGolden = "golden";
inline constexpr std::string_view kRoleConfig = "config";
inline constexpr std::string_view kRoleHead = "head";  // classifier "linear" only
inline constexpr std::string_view kRoleAdaptation = "adaptation";  // What a device learned, if any.

// How a row's recent past becomes the numbers that are classified: every `step` rows, over the last
// `size` of them, the statistics and the energy in the bands, channel by channel.
struct BundleWindow {
  int size = 0;
  int step = 0;
  double sample_rate_hz = 0.0;                     // Needed for bands only; 0: not known.
  std::vector<std::string> statistics{};           // Of kWindowStatistics, none twice.
  std::vector<std::pair<double, double>> bands{};  // From, to, in hertz.

  std::size_t features_a_channel() const { return statistics.size() + bands.size(); }
  friend bool operator==(const BundleWindow&, const BundleWindow&) = default;
};
inline constexpr std::string_view kWindowStatistics[] = {"mean", "deviation", "min", "max", "rms"};

// What the model takes.
struct BundleInput {
  enum class Kind { kImage, kRow };
  Kind kind = Kind::kImage;
  // kImage.
  int width = 0;
  int height = 0;
  std::string channels{};             // "rgb", "bgr", "gray"
  std::string resize{};               // "center_crop", "letterbox", "stretch"
  std::string scale{};                // "uint8", "unit", "symmetric", "mean_deviation"
  std::vector<double> mean{};         // [3], of "mean_deviation": on the scale 0 to 1.
  std::vector<double> deviation{};    // [3]
  std::optional<int> source_width{};  // What the camera must deliver, where it matters.
  std::optional<int> source_height{};
  // kRow.
  int channel_count = 0;
  std::vector<std::string> channel_names{};  // Empty or one a channel.
  std::optional<BundleWindow> window{};      // None: a row is classified as it is.

  friend bool operator==(const BundleInput&, const BundleInput&) = default;
};

struct BundleLineage {
  std::optional<std::string> parent;  // The bundle it came from.
  std::optional<std::string> data;    // SHA-256 of the dataset manifest.
  std::vector<std::string> taught_by;

  friend bool operator==(const BundleLineage&, const BundleLineage&) = default;
};

struct BundleManifest {
  std::string name;
  std::string version;
  std::string model_family;
  std::vector<std::string> device_class = {"any"};
  std::string min_agent;
  std::string task = "classification";
  BundleInput input;
  std::vector<std::string> labels;
  BundleLineage lineage;
  std::string licence;
  std::vector<NamedFile> files;

  const NamedFile* FileWithRole(std::string_view role) const;
  friend bool operator==(const BundleManifest&, const BundleManifest&) = default;
};

std::string WriteBundleManifest(const BundleManifest& manifest);  // For a person to read, too.
base::Result<BundleManifest> ParseBundleManifest(base::ByteView json);

// A bundle's identity: hex SHA-256 of the exact bytes of its manifest.json.
std::string BundleIdOf(base::ByteView manifest);

// Files may be larger than a package's.
inline constexpr ArchiveLimits kBundleLimits = {.compressed_bytes_max = 512u << 20,
                                                .expanded_bytes_max = 1u << 30};

struct ReadBundleResult {
  BundleManifest manifest;
  base::Bytes manifest_bytes;
  base::Ed25519Signature signature{};
  std::string bundle;  // Its identity.
};

// Verifies the publisher's signature before any file is decompressed.
base::Result<ReadBundleResult> ReadBundle(ByteSource& source, const ArchiveLimits& limits,
                                          const base::Ed25519PublicKey& publisher, FileSink& sink);
// Entries 1 and 2 only.
base::Result<ReadBundleResult> ReadBundleManifest(ByteSource& source, const ArchiveLimits& limits,
                                                  const base::Ed25519PublicKey& publisher);

// True if `version` >= `least`; both "1.2.3", further parts and suffixes after '-' ignored.
bool IsAtLeast(std::string_view version, std::string_view least);

}  // namespace protocol
