#include "tinylcm/adapt/adaptation.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "tinylcm/src/adapt/adaptation_wire.h"
#include "tinylcm/src/adapt/hypothesis_wire.h"

namespace tinylcm::adapt {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;
using state::WireReader;
using state::WireWriter;

namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'T', 'L', 'C', 'A'};
constexpr std::uint32_t kVersion = kAdaptationVersion;

Error Corrupt(std::string_view what) { return {ErrorCode::kCorrupt, StrCat("adaptation: ", what)}; }

void WriteLabel(WireWriter& writer, const Label& label) {
  writer.Text(label.sample_id);
  writer.U16(label.label);
  writer.Text(label.feedback_id);
  writer.F32(label.weight);
}

Label ReadLabel(WireReader& reader, std::uint32_t version) {
  Label label;
  label.sample_id = reader.Text();
  label.label = reader.U16();
  label.feedback_id = reader.Text();
  if (version >= 2) label.weight = reader.F32();
  return label;
}

}  // namespace

Adaptation Adaptation::InputAlone() const {
  Adaptation input;
  input.bundle = bundle;
  input.event_id = event_id;
  input.hypothesis = hypothesis;
  return input;
}

std::string Adaptation::name() const { return StrCat(hypothesis.name(), " + ", challenger.name()); }

void WriteAdaptation(WireWriter& writer, const Adaptation& adaptation) {
  writer.Text(adaptation.bundle);
  writer.Text(adaptation.event_id);
  WriteHypothesis(writer, adaptation.hypothesis);
  writer.U8(static_cast<std::uint8_t>(adaptation.challenger.alignment));
  writer.U8(static_cast<std::uint8_t>(adaptation.challenger.memory));
  writer.Floats(adaptation.transform.scale);
  writer.Floats(adaptation.transform.shift);
  writer.Floats(adaptation.transform.matrix);
  writer.U32(static_cast<std::uint32_t>(adaptation.memory.dims));
  writer.Floats(adaptation.memory.vectors);
  writer.U16s(adaptation.memory.labels);
  writer.Floats(adaptation.memory.weights);
  writer.U32(static_cast<std::uint32_t>(adaptation.entries.size()));
  for (const MemoryEntry& entry : adaptation.entries) {
    writer.Text(entry.sample_id);
    writer.Text(entry.taught_by);
    writer.Text(entry.feedback_id);
    writer.U8(static_cast<std::uint8_t>(entry.origin));
    writer.U32(entry.cluster);
  }
  writer.U32(static_cast<std::uint32_t>(adaptation.labels.size()));
  for (const Label& label : adaptation.labels) WriteLabel(writer, label);
  writer.U8(adaptation.head ? 1 : 0);
  if (adaptation.head) {
    writer.Floats(adaptation.head->weights);
    writer.Floats(adaptation.head->bias);
    writer.F32(adaptation.head->temperature);
  }
  writer.U32(static_cast<std::uint32_t>(adaptation.opened.size()));
  for (const std::string& name : adaptation.opened) writer.Text(name);
}

Result<Adaptation> ReadAdaptation(WireReader& reader, std::uint32_t version) {
  Adaptation adaptation;
  adaptation.bundle = reader.Text();
  adaptation.event_id = reader.Text();
  const bool is_hypothesis_known = ReadHypothesis(reader, version, adaptation.hypothesis);
  const std::uint8_t alignment = reader.U8();
  const std::uint8_t memory = reader.U8();
  adaptation.challenger = {static_cast<Alignment>(alignment), static_cast<Memory>(memory)};
  adaptation.transform.scale = reader.Floats();
  adaptation.transform.shift = reader.Floats();
  if (version >= 2) adaptation.transform.matrix = reader.Floats();
  adaptation.memory.dims = reader.U32();
  adaptation.memory.vectors = reader.Floats();
  adaptation.memory.labels = reader.U16s();
  adaptation.memory.weights = reader.Floats();
  bool origins_known = true;
  adaptation.entries.resize(reader.Count(17));
  for (MemoryEntry& entry : adaptation.entries) {
    entry.sample_id = reader.Text();
    entry.taught_by = reader.Text();
    entry.feedback_id = reader.Text();
    const std::uint8_t origin = reader.U8();
    origins_known &= origin <= static_cast<std::uint8_t>(LabelOrigin::kPseudo);
    entry.origin = static_cast<LabelOrigin>(origin);
    entry.cluster = reader.U32();
  }
  adaptation.labels.resize(reader.Count(10));
  for (Label& label : adaptation.labels) label = ReadLabel(reader, version);
  bool is_head_known = true;
  if (version >= 2) {
    const std::uint8_t has_head = reader.U8();
    is_head_known = has_head <= 1;
    if (has_head == 1) {
      classify::HeadTensors head;
      head.weights = reader.Floats();
      head.bias = reader.Floats();
      head.temperature = reader.F32();
      adaptation.head = std::move(head);
    }
    adaptation.opened.resize(reader.Count(4));
    for (std::string& name : adaptation.opened) name = reader.Text();
  }

  if (!reader.ok()) return Corrupt("cut short");
  if (!is_hypothesis_known || alignment > static_cast<std::uint8_t>(Alignment::kCoral) ||
      memory > static_cast<std::uint8_t>(Memory::kPseudo) || !origins_known || !is_head_known) {
    return Corrupt("an unknown kind");
  }
  const classify::Anchors& vectors = adaptation.memory;
  const bool is_head_whole =
      !adaptation.head || (!adaptation.head->bias.empty() &&
                           adaptation.head->weights.size() % adaptation.head->bias.size() == 0);
  if (!adaptation.transform.is_valid() || !is_head_whole ||
      vectors.vectors.size() != vectors.dims * vectors.size() ||
      (!vectors.weights.empty() && vectors.weights.size() != vectors.size()) ||
      adaptation.entries.size() != vectors.size()) {
    return Corrupt("sizes do not fit together");
  }
  return adaptation;
}

Bytes Serialise(const Adaptation& adaptation) {
  WireWriter writer;
  writer.Raw(kMagic);
  writer.U32(kVersion);
  WriteAdaptation(writer, adaptation);
  writer.U32(base::Crc32c(writer.bytes()));
  return writer.Take();
}

Result<Adaptation> ParseAdaptation(ByteView bytes) {
  ASSIGN_OR_RETURN(auto framed, state::OpenFrame(bytes, kMagic, 1, kVersion, "adaptation"));
  auto& [reader, version] = framed;
  ASSIGN_OR_RETURN(Adaptation adaptation, ReadAdaptation(reader, version));
  if (!reader.at_end()) return Corrupt("bytes left over");
  return adaptation;
}

Adaptation Compose(const std::string& bundle, const std::string& event_id,
                   const InputHypothesis& hypothesis, const Judgement& judgement,
                   std::span<const std::string> rows, std::span<const Label> labels,
                   std::span<const std::string> opened, const Adaptation* met_before) {
  Adaptation adaptation;
  adaptation.bundle = bundle;
  adaptation.event_id = event_id;
  adaptation.hypothesis = hypothesis;
  const Challenger& challenger = judgement.challenger;
  adaptation.challenger = challenger.kind;
  adaptation.transform = challenger.transform;
  adaptation.memory = challenger.memory;
  adaptation.head = challenger.head;
  adaptation.opened.assign(opened.begin(), opened.end());
  adaptation.labels.assign(labels.begin(), labels.end());
  if (challenger.kind.memory == Memory::kConcept) {
    CHECK(met_before != nullptr && met_before->entries.size() == challenger.memory.size());
    adaptation.entries = met_before->entries;
    return adaptation;
  }
  for (const Provenance& provenance : challenger.provenance) {
    // The labelled samples come first in a memory, in their order: entry t is teacher t.
    const Provenance& teacher = challenger.provenance[provenance.taught_by];
    CHECK(teacher.taught_by == provenance.taught_by && provenance.row < rows.size() &&
          teacher.row < rows.size());
    MemoryEntry entry;
    entry.sample_id = rows[provenance.row];
    entry.taught_by = rows[teacher.row];
    entry.origin = provenance.row == teacher.row ? LabelOrigin::kPerson : LabelOrigin::kPropagated;
    entry.cluster = provenance.taught_by;
    for (const Label& label : labels) {
      if (label.sample_id == entry.taught_by) entry.feedback_id = label.feedback_id;
    }
    adaptation.entries.push_back(std::move(entry));
  }
  return adaptation;
}

Result<Carried> Carry(const CarryRequest& request) {
  CHECK(request.adaptation != nullptr && request.knn != nullptr);
  const Adaptation& old = *request.adaptation;
  Carried carried;
  InputHypothesis hypothesis;
  std::span<const float> features = request.features;
  if (request.search != nullptr) {
    const InputSearchResult result = request.search->Finish(request.search_rule);
    hypothesis = result.hypothesis;
    features = request.search->features(result.is_adopted ? result.best : 0);
    if (!old.hypothesis.is_identity() && hypothesis.is_identity()) {
      carried.dropped.push_back(StrCat("input ", old.hypothesis.name(), ": distance ratio ",
                                       result.ratio, result.is_vetoed ? ", vetoed by labels" : ""));
    }
  } else if (!old.hypothesis.is_identity()) {
    return Error{ErrorCode::kInvalidArgument, "carry: an input hypothesis needs a search"};
  }
  carried.hypothesis_kept = hypothesis == old.hypothesis;

  std::vector<LabelledRow> labelled;
  std::vector<Label> standing;
  for (const Label& label : request.labels) {
    const auto row = std::find(request.rows.begin(), request.rows.end(), label.sample_id);
    if (row == request.rows.end() || label.label >= request.knn->options().classes) {
      carried.dropped.push_back(StrCat("label of ", label.sample_id));
      continue;
    }
    labelled.push_back({static_cast<std::uint32_t>(row - request.rows.begin()), label.label});
    standing.push_back(label);
  }
  if (features.size() != request.rows.size() * request.knn->dims()) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("carry: ", features.size(), " numbers for ", request.rows.size(), " rows")};
  }
  ASSIGN_OR_RETURN(const Judgement judgement,
                   Judge(*request.knn, features, labelled, request.judge_rule));
  carried.adaptation =
      Compose(request.bundle, old.event_id, hypothesis, judgement, request.rows, standing);
  carried.challenger_kept = carried.adaptation.challenger == old.challenger;
  if (!carried.challenger_kept) {
    carried.dropped.push_back(StrCat("challenger ", old.challenger.name(), ": ",
                                     carried.adaptation.challenger.name(), " does better on ",
                                     standing.size(), " labels under the new bundle"));
  }
  return carried;
}

}  // namespace tinylcm::adapt
