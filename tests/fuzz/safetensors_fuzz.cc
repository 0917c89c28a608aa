// Safetensors, and sketches in them: no tensor lies outside the file, and what is read is what is
// written again.

#include "protocol/safetensors.h"

#include "protocol/sketches.h"
#include "tests/fuzz/fuzz.h"

using protocol::Safetensors;

FUZZ(bytes) {
  const auto read = Safetensors::Parse(bytes);
  if (!read.ok()) return;
  std::size_t total = 0;
  for (const auto& [name, tensor] : read->tensors()) {
    total += tensor.data.size();
    if (tensor.type == Safetensors::Type::kF32) {
      const auto values = read->Values<float>(name);
      REQUIRE(values.ok() && values->size() == tensor.count());
    }
  }
  REQUIRE(total <= bytes.size());
  const auto again = Safetensors::Parse(read->Write());
  REQUIRE(again.ok());
  REQUIRE(*again == *read);
  if (const auto sketches = protocol::ParseSketches(bytes); sketches.ok()) {
    const auto same = protocol::ParseSketches(protocol::WriteSketches(*sketches));
    REQUIRE(same.ok() && *same == *sketches);
  }
}
