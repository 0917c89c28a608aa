#include "tinysphere/feedback/change.h"

namespace tinysphere::feedback {

Change Compare(const Labels& told, const Labels& wanted) {
  Change change;
  for (const auto& [sample, label] : told) {
    const auto now = wanted.find(sample);
    if (now == wanted.end() || now->second.label != label.label) change.retract.push_back(sample);
  }
  for (const auto& [sample, label] : wanted) {
    const auto before = told.find(sample);
    // One more who agrees with all the others changes nothing for the device.
    if (before == told.end() || before->second.label != label.label ||
        before->second.weight != label.weight) {
      change.labels[sample] = label;
    }
  }
  return change;
}

Labels Apply(Labels told, const Change& change) {
  for (const std::string& sample : change.retract) told.erase(sample);
  for (const auto& [sample, label] : change.labels) told[sample] = label;
  return told;
}

}  // namespace tinysphere::feedback
