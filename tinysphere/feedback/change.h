// Change: what a device must be told, given what it was told and what people say now.
//
// Picture a letter to somebody who keeps a copy of a list: it holds only the lines that differ. A
// label given anew is one line; a label changed is one line struck out and one written; a label
// taken back is struck out. A letter with nothing in it is not sent.

#pragma once

#include <map>
#include <string>
#include <vector>

namespace tinysphere::feedback {

using Labels = std::map<std::string, std::string>;  // By sample id.

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
