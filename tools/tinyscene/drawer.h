// Drawer: a shot -> the bytes that stand for it in a stream: a JPEG, or a line of CSV.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "tools/tinyscene/digits.h"
#include "tools/tinyscene/shot.h"

namespace tinyscene {

// Not thread-safe.
class Drawer {
 public:
  virtual ~Drawer() = default;
  // What stands before the first shot of a stream.
  virtual std::string Prologue() const = 0;
  // A pure function of (seed, shot). Valid until the next call.
  virtual base::Result<base::ByteView> Draw(const Shot& shot) = 0;
};

// REQUIRES: `digits` outlives the drawer.
std::unique_ptr<Drawer> MakeDrawer(Kind kind, std::uint64_t seed, const Digits& digits);

}  // namespace tinyscene
