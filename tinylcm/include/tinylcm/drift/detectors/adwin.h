// ADWIN: notices that the mean of a stream differs between its older and its newer part, wherever
// the seam may lie.
//
// Picture the past kept in boxes: the latest values one to a box, older ones two, four, eight to a
// box, at most five boxes of a size. Every `clock` values each seam between two boxes is tried: is
// the mean before it so far from the mean after it that chance would do so with probability
// `delta`? Then the past before it is another time. Some 5 log2(n) boxes hold n values.
//
// A. Bifet and R. Gavalda, "Learning from time-changing data with adaptive windowing", SDM 2007.
// Index for index as river 0.26 (`drift.ADWIN`, which follows MOA): after an alarm the whole window
// is dropped. As it is, no box is ever taken from the far end, so a box needs no variance of its
// own, and the test is made without a root or a division:
//
//   |m0 - m1| > sqrt(2 m v L) + 2/3 m L,   m = C / (a b),   a = n0 - min + 1, b = n1 - min + 1
//   <=>  x = |u0 W - u n0| a b - 2/3 C L n0 n1 > 0  and  x^2 > 2 C v L (n0 n1)^2 a b

#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. No allocation per value; of `clock` values all but one are only put into a box.
class Adwin final : public Detector {
 public:
  struct Options {
    double delta = 0.002;                 // Chance of a false alarm at a seam; beyond 1 it is lax.
    std::uint32_t clock = 32;             // Values between two tests.
    std::uint32_t max_buckets = 5;        // Boxes of a size.
    std::uint32_t min_window_length = 5;  // Values a side, at least.
    std::uint32_t grace_period = 10;      // Values before the first test.
  };

  static base::Result<Adwin> Create(const Options& options);

  DriftSignal Observe(double value) override;
  // How sure the surest seam is, as -ln of the delta at which it would just alarm: larger is surer.
  // -infinity while there is no seam, 0 before the first value. Worked out when asked.
  double statistic() const override;
  double limit() const override { return limit_; }  // -ln(delta).
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<Adwin>(*this); }

  std::uint64_t window() const { return samples_; }  // Values in the window.
  double mean() const;
  double squares() const;  // Sum of squared deviations from the mean (river's `variance`).
  bool is_tested() const;  // Whether the last value brought a test.

 private:
  static constexpr std::size_t kRows = 42;  // Boxes of 2^0 ... 2^41 values.

  explicit Adwin(const Options& options);
  void Insert(double value);
  void Restart();
  // Calls visit(n0, u0) at each seam with enough values on both sides: how many values, and their
  // sum, lie before it. Ends early where visit says true.
  template <typename Visit>
  bool AnySeam(const Visit& visit) const;
  bool Differs() const;
  double Surest() const;

  Options options_;
  double limit_ = 0.0;
  std::uint32_t row_size_ = 0;                    // Boxes a row holds, the one too many included.
  std::uint32_t row_slots_ = 0;                   // A power of two.
  std::array<std::uint32_t, kRows> oldest_ = {};  // Where a row's oldest box is.
  std::vector<double> totals_;                    // Row after row, each a ring.
  std::array<std::uint32_t, kRows> boxes_ = {};   // In use, a row.
  std::uint64_t samples_ = 0;
  std::uint32_t until_test_ = 0;
  double first_ = 0.0;  // Sums are of deviations from the first value: large levels cost no digits.
  double sum_ = 0.0;
  double square_ = 0.0;
  bool has_alarmed_ = false;  // At the last value; then what it was stays known.
  double alarmed_ = 0.0;
};

}  // namespace tinylcm::drift
