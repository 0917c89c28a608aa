// A bundle's manifest.json and config.json: what is read is what is written again.

#include "base/json.h"
#include "protocol/bundle.h"
#include "tests/fuzz/fuzz.h"
#include "tinylcm/model/bundle.h"

FUZZ(bytes) {
  if (const auto manifest = protocol::ParseBundleManifest(bytes); manifest.ok()) {
    const std::string written = protocol::WriteBundleManifest(*manifest);
    const auto again = protocol::ParseBundleManifest(base::AsBytes(written));
    REQUIRE(again.ok());
    REQUIRE(*again == *manifest);
  }
  if (const auto json = base::Json::Parse(base::AsText(bytes)); json.ok()) {
    (void)tinylcm::model::BundleConfig::Parse(*json).ok();
  }
}
