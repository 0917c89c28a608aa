// Questions: which samples of a quarantine a person is asked about, and in which order.
//
// The quarantine is clustered; one question a cluster, its medoid. A cluster that hides a dense
// group apart from the rest (an unseen class) is split, so that the group gets a question of its
// own. First comes what changes most answers: a large cluster, thought to be mostly wrong, far from
// what is known.
//
//   priority = mass x (1 - estimated accuracy) x novelty
//
// Pure; same samples and seed, same questions.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tinylcm::adapt {

// How far a sample lies from the anchors beside what is usual for the class it was answered as:
// 0 on an anchor, 1/2 as usual, towards 1 far from everything known. 1/2 where nothing usual is
// known.
inline float Novelty(float distance, float usual) {
  if (!(usual > 0.0f) || !(distance >= 0.0f)) return 0.5f;
  return distance / (distance + usual);
}

struct QuestionSample {
  float accuracy = 0.0f;    // How likely the answer given was right: its calibrated confidence.
  float novelty = 0.5f;     // Novelty().
  float stands_for = 1.0f;  // Samples.
  bool is_asked = false;    // A person was asked before: not again, and its cluster can wait.
};

struct QuestionOptions {
  std::uint32_t labels = 24;  // Fewer where there are fewer different samples.
  std::uint64_t seed = 1;
  // Neither factor may erase the others: a confident classifier far from home is often wrong.
  float wrong_min = 0.02f;
  float novelty_min = 0.02f;
};

struct Question {
  std::uint32_t row = 0;  // Among the samples.
  std::uint32_t cluster = 0;
  float mass = 0.0f;      // The share of the samples its cluster stands for.
  float accuracy = 0.0f;  // Of the cluster: the mean, weighed by what each stands for.
  float novelty = 0.0f;
  double priority = 0.0;
  std::string reason;  // In words, for the person who is asked.
};

// `features`: samples.size() x dims. Highest priority first; where clusters were left over, their
// mass went to the nearest that is asked about, so that masses sum to 1 unless some were asked
// before. No samples, or none left to ask about: no questions.
std::vector<Question> Questions(std::span<const float> features, std::size_t dims,
                                std::span<const QuestionSample> samples,
                                const QuestionOptions& options);

}  // namespace tinylcm::adapt
