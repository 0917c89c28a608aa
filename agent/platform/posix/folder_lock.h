// FolderLock: one agent a data folder. The lock is the kernel's and goes with the process, however
// it ends.

#pragma once

#include <string>

#include "base/result.h"

namespace agent {

class FolderLock {
 public:
  // kConflict if another process holds it.
  static base::Result<FolderLock> Take(const std::string& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept : descriptor_(other.descriptor_) {
    other.descriptor_ = -1;
  }
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace agent
