// Change: what a device must be told, given what it was told and what people say now.
//
// Picture a letter to somebody who keeps a copy of a list: it holds only the lines that differ. A
// label given anew is one line; a label changed is one line struck out and one written; a label
// taken back is struck out; one that weighs more or less than before is written again. A letter
// with nothing in it is not sent.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tinysphere::feedback {

struct Label {
  std::string label;
  double weight = 1.0;  // The share of the reviewers who say so.
  std::int64_t reviewers = 1;
  bool opens_class = false;

  friend bool operator==(const Label&, const Label&) = default;
};

using Labels = std::map<std::string, Label>;  // By sample id.

struct Change {
  Labels labels;                     // To be learned.
  std::vector<std::string> retract;  // To be forgotten first. In order of sample id.

  bool empty() const { return labels.empty() && retract.empty(); }
};

// `told`: what the device holds after all feedback so far; `wanted`: what it should hold.
Change Compare(const Labels& told, const Labels& wanted);

// What the device holds once `change` has reached it.
Labels Apply(Labels told, const Change& change);

}  // namespace tinysphere::feedback
