// Delivery: hands shots to a reader who may be slow, as a camera does: it holds two that were not
// read, and when a third is there the oldest is lost.
//
// What has been begun is finished (half a JPEG would spoil the next one), so the oldest that can be
// lost is the oldest not begun. The fate of each shot is told in order, once it is known.
//
// No I/O: the caller writes Pending() and says with Wrote() how much went out. Not thread-safe.

#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "tools/tinyscene/shot.h"

namespace tinyscene {

class Delivery {
 public:
  static constexpr std::size_t kHeldMax = 2;

  // Holds the shot; loses the oldest not begun if two are held already.
  void Push(const Shot& shot, base::ByteView bytes);

  // What goes out next; empty if nothing is held.
  base::ByteView Pending() const;
  // REQUIRES: count <= Pending().size().
  void Wrote(std::size_t count);

  // The reader has gone: whatever was not written whole is lost.
  void Abandon();

  // Shots whose fate is known since the last call, in order.
  std::vector<Shot> TakeDecided();

  bool idle() const { return Pending().empty(); }

 private:
  struct Held {
    Shot shot;
    base::Bytes bytes;  // Empty once written or lost.
    std::size_t written = 0;
    bool decided = false;
  };

  std::size_t FirstOpen() const;  // The first that is not decided; held_.size() if there is none.

  std::deque<Held> held_;
};

}  // namespace tinyscene
