#include "tinylcm/src/adapt/hypothesis_wire.h"

namespace tinylcm::adapt {

using state::WireReader;
using state::WireWriter;

namespace {

constexpr std::uint8_t kStepsFollow = 16;
constexpr std::uint8_t kOldKindMax = 4;  // 0: identity; the others are those of StepKind.

void WriteOffsets(WireWriter& writer, const std::vector<std::int16_t>& offsets) {
  writer.U32(static_cast<std::uint32_t>(offsets.size()));
  for (const std::int16_t offset : offsets) writer.U16(static_cast<std::uint16_t>(offset));
}

void ReadMaps(WireReader& reader, InputStep& step) {
  step.gains = reader.U16s();
  for (const std::uint16_t offset : reader.U16s()) {
    step.offsets.push_back(static_cast<std::int16_t>(offset));
  }
}

bool MakesSense(const InputStep& step) {
  const bool has_weights = step.kind == StepKind::kRepair
                               ? step.channels.size() == step.base.size()
                               : step.channels.empty() && step.base.size() == step.weights.size();
  return step.kind >= StepKind::kChannelGain && step.kind <= StepKind::kRepair &&
         step.gains.size() == step.offsets.size() && has_weights;
}

}  // namespace

void WriteHypothesis(WireWriter& writer, const InputHypothesis& hypothesis) {
  writer.U8(static_cast<std::uint8_t>(kStepsFollow + hypothesis.steps.size()));
  for (const InputStep& step : hypothesis.steps) {
    writer.U8(static_cast<std::uint8_t>(step.kind));
    writer.U32(static_cast<std::uint32_t>(step.angle_degrees));
    writer.U32(static_cast<std::uint32_t>(step.sigma_tenths));
    writer.U32(static_cast<std::uint32_t>(step.amount_tenths));
    writer.U16s(step.gains);
    WriteOffsets(writer, step.offsets);
    writer.Blob(step.table);
    writer.U16s(step.channels);
    writer.Floats(step.base);
    writer.Floats(step.weights);
  }
}

bool ReadHypothesis(WireReader& reader, std::uint32_t adaptation_version,
                    InputHypothesis& hypothesis) {
  hypothesis.steps.clear();
  const std::uint8_t first = reader.U8();
  if (adaptation_version == 1 && first <= kOldKindMax) {
    InputStep step;
    step.angle_degrees = static_cast<std::int32_t>(reader.U32());
    ReadMaps(reader, step);
    if (first == 0) return step.gains.empty() && step.offsets.empty();
    step.kind = static_cast<StepKind>(first);
    hypothesis.steps.push_back(std::move(step));
    return MakesSense(hypothesis.steps.back());
  }
  if (first < kStepsFollow || first > kStepsFollow + kStepsMax) return false;
  bool makes_sense = true;
  for (int i = kStepsFollow; i < first; ++i) {
    InputStep step;
    step.kind = static_cast<StepKind>(reader.U8());
    step.angle_degrees = static_cast<std::int32_t>(reader.U32());
    step.sigma_tenths = static_cast<std::int32_t>(reader.U32());
    step.amount_tenths = static_cast<std::int32_t>(reader.U32());
    ReadMaps(reader, step);
    const base::ByteView table = reader.Blob();
    step.table.assign(table.begin(), table.end());
    step.channels = reader.U16s();
    step.base = reader.Floats();
    step.weights = reader.Floats();
    makes_sense &= MakesSense(step);
    hypothesis.steps.push_back(std::move(step));
  }
  return makes_sense;
}

}  // namespace tinylcm::adapt
