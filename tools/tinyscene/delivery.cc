#include "tools/tinyscene/delivery.h"

#include "base/check.h"

namespace tinyscene {

std::size_t Delivery::FirstOpen() const {
  std::size_t i = 0;
  while (i < held_.size() && held_[i].decided) ++i;
  return i;
}

void Delivery::Push(const Shot& shot, base::ByteView bytes) {
  std::size_t open = 0;
  for (const Held& held : held_) open += held.decided ? 0 : 1;
  for (auto held = held_.begin(); open >= kHeldMax && held != held_.end(); ++held) {
    if (held->decided || held->written > 0) continue;
    held->decided = true;
    held->shot.dropped = true;
    held->bytes.clear();
    --open;
  }
  held_.push_back({.shot = shot, .bytes = base::Bytes(bytes.begin(), bytes.end())});
}

base::ByteView Delivery::Pending() const {
  const std::size_t i = FirstOpen();
  if (i == held_.size()) return {};
  return base::ByteView(held_[i].bytes).subspan(held_[i].written);
}

void Delivery::Wrote(std::size_t count) {
  const std::size_t i = FirstOpen();
  if (i == held_.size()) return;
  Held& held = held_[i];
  CHECK(count <= held.bytes.size() - held.written);
  held.written += count;
  held.decided = held.written == held.bytes.size();
}

void Delivery::Abandon() {
  for (Held& held : held_) {
    if (held.decided) continue;
    held.decided = true;
    held.shot.dropped = true;
  }
}

std::vector<Shot> Delivery::TakeDecided() {
  std::vector<Shot> decided;
  while (!held_.empty() && held_.front().decided) {
    decided.push_back(held_.front().shot);
    held_.pop_front();
  }
  return decided;
}

}  // namespace tinyscene
