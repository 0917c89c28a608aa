#include "tinylcm/adapt/difference.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"

namespace tinylcm::adapt {

using base::StrCat;

namespace {

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string MemoryOf(const Adaptation& adaptation) {
  std::size_t people = 0;
  for (const MemoryEntry& entry : adaptation.entries) {
    people += entry.origin == LabelOrigin::kPerson ? 1 : 0;
  }
  return StrCat(adaptation.memory.size(), " vectors, ", people, " of people");
}

std::string LabelOf(const Label& label) {
  return label.weight == 1.0f ? StrCat(label.label)
                              : StrCat(label.label, " (weight ",
                                       base::FormatShort(static_cast<double>(label.weight)), ")");
}

}  // namespace

std::vector<std::string> Describe(const Adaptation& adaptation) {
  std::vector<std::string> lines;
  if (!adaptation.event_id.empty()) lines.push_back("event: " + adaptation.event_id);
  if (!adaptation.hypothesis.is_identity()) {
    lines.push_back("input: " + adaptation.hypothesis.name());
  }
  if (!adaptation.challenger.is_none()) {
    lines.push_back("challenger: " + adaptation.challenger.name());
  }
  if (adaptation.memory.size() > 0) lines.push_back("memory: " + MemoryOf(adaptation));
  if (adaptation.head) lines.push_back("head: linear");
  if (!adaptation.opened.empty()) lines.push_back("opened: " + Joined(adaptation.opened));
  if (!adaptation.labels.empty()) lines.push_back(StrCat("labels: ", adaptation.labels.size()));
  if (adaptation.is_none() && adaptation.opened.empty()) lines.push_back("the bundle alone");
  return lines;
}

std::vector<std::string> Differences(const Adaptation& before, const Adaptation& after) {
  std::vector<std::string> lines;
  const auto changed = [&](std::string_view what, const std::string& was, const std::string& is,
                           bool is_same) {
    if (is_same) return;
    const auto said = [](const std::string& text) { return text.empty() ? "none" : text; };
    lines.push_back(was == is ? StrCat(what, ": ", said(was), ", with other figures")
                              : StrCat(what, ": ", said(was), " -> ", said(is)));
  };
  changed("bundle", before.bundle, after.bundle, before.bundle == after.bundle);
  changed("event", before.event_id, after.event_id, before.event_id == after.event_id);
  changed("input", before.hypothesis.name(), after.hypothesis.name(),
          before.hypothesis == after.hypothesis);
  changed("challenger", before.challenger.name(), after.challenger.name(),
          before.challenger == after.challenger && before.transform == after.transform);
  changed("memory", MemoryOf(before), MemoryOf(after),
          before.memory == after.memory && before.entries == after.entries);
  changed("head", before.head ? "linear" : "", after.head ? "linear" : "",
          before.head == after.head);
  changed("opened", Joined(before.opened), Joined(after.opened), before.opened == after.opened);
  std::map<std::string, const Label*> was, is;
  std::set<std::string> samples;
  for (const Label& label : before.labels) {
    was[label.sample_id] = &label;
    samples.insert(label.sample_id);
  }
  for (const Label& label : after.labels) {
    is[label.sample_id] = &label;
    samples.insert(label.sample_id);
  }
  for (const std::string& sample : samples) {
    const auto old_one = was.find(sample), new_one = is.find(sample);
    if (old_one == was.end()) {
      lines.push_back(StrCat("label of ", sample, ": new, ", LabelOf(*new_one->second)));
    } else if (new_one == is.end()) {
      lines.push_back(StrCat("label of ", sample, ": gone"));
    } else if (!(*old_one->second == *new_one->second)) {
      changed("label of " + sample, LabelOf(*old_one->second), LabelOf(*new_one->second), false);
    }
  }
  return lines;
}

}  // namespace tinylcm::adapt
