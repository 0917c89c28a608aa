// What the drift monitor has learned, as it lies on its disk: refused with nothing changed, or gone
// on from as from any other. The bytes are laid over a real state and get the checksum that would
// keep the fuzzer out.

#include <algorithm>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tinylcm/drift/drift_monitor.h"

namespace {

using tinylcm::drift::DriftMonitor;
using tinylcm::drift::Sample;
using tinylcm::drift::Signal;

DriftMonitor Monitor() {
  DriftMonitor::Options options;
  options.classes = 3;
  options.signals = Bit(Signal::kAnchorDistance) | Bit(Signal::kQuantTree) | Bit(Signal::kClassMix);
  options.channels = 2;
  options.commission = 100;
  options.hold_back = 8;
  options.false_alarm_every = 1e3;
  return DriftMonitor::Create(options).value();
}

// `count` samples; from the 300th on they lie elsewhere.
void Feed(DriftMonitor& monitor, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t i = first; i < first + count; ++i) {
    const auto wave = static_cast<float>((i * 2654435761u >> 7) % 1000) / 1000.0f;
    const float channels[] = {wave, 1.0f - wave};
    Sample sample;
    sample.index = i;
    sample.predicted = static_cast<std::uint16_t>(i % 3);
    sample.channels = channels;
    sample.Set(Signal::kAnchorDistance, i < 300 ? wave : wave + 2.0f);
    sample.Set(Signal::kQuantTree, static_cast<float>(i % 5));
    sample.Set(Signal::kClassMix, static_cast<float>(i % 3));
    (void)monitor.Observe(sample);
  }
}

// Learning, watching, open.
const std::vector<base::Bytes>& Blocks() {
  static const std::vector<base::Bytes> blocks = [] {
    std::vector<base::Bytes> made;
    DriftMonitor monitor = Monitor();
    std::uint64_t at = 0;
    for (const std::uint64_t count : {40u, 200u, 200u}) {
      Feed(monitor, at, count);
      at += count;
      made.push_back(monitor.SaveState());
    }
    return made;
  }();
  return blocks;
}

}  // namespace

FUZZ(bytes) {
  if (bytes.size() < 3) return;
  const base::Bytes& real = Blocks()[bytes[0] % Blocks().size()];
  base::Bytes block = real;
  const std::size_t body = block.size() - 4;
  const std::size_t at = (std::size_t{bytes[1]} * 256 + bytes[2]) % body;
  for (std::size_t i = 3; i < bytes.size() && at + i - 3 < body; ++i) block[at + i - 3] ^= bytes[i];
  const std::uint32_t crc = base::Crc32c(base::ByteView(block).first(body));
  for (std::size_t i = 0; i < 4; ++i) block[body + i] = static_cast<std::uint8_t>(crc >> (8 * i));

  static const DriftMonitor fresh = Monitor();
  static const base::Bytes untouched = fresh.SaveState();
  DriftMonitor monitor = fresh;
  if (!monitor.RestoreState(block).ok()) {
    REQUIRE(monitor.SaveState() == untouched);
    return;
  }
  REQUIRE(monitor.SaveState() == block);
  (void)monitor.explanation();
  Feed(monitor, 1'000, 150);
  (void)monitor.explanation();
  // Numbers nobody measured may overflow in what follows; measured ones do not.
  if (block == real) REQUIRE(Monitor().RestoreState(monitor.SaveState()).ok());
}
