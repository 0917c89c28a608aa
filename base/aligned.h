// AlignedVector: a vector whose first number lies on a cache line, so that a 64-byte load of a row
// touches one line and not two. For what wide instructions walk over; a plain vector elsewhere.

#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace base {

inline constexpr std::size_t kCacheLine = 64;

template <typename T>
struct CacheLineAllocator {
  using value_type = T;

  CacheLineAllocator() = default;
  template <typename Other>
  CacheLineAllocator(const CacheLineAllocator<Other>&) {}  // NOLINT: as allocators convert.

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{kCacheLine}));
  }
  void deallocate(T* at, std::size_t) { ::operator delete(at, std::align_val_t{kCacheLine}); }

  friend bool operator==(CacheLineAllocator, CacheLineAllocator) { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

}  // namespace base
