// FolderLock: one process a data folder. The lock is the kernel's and goes with the process,
// however it ends.

#pragma once

#include <string>

#include "base/result.h"

namespace base {

class FolderLock {
 public:
  // Takes FOLDER/lock, which is made if need be; the folder must be there. kConflict if another
  // process holds it: "<folder>: another <who> runs on this folder".
  static Result<FolderLock> Take(const std::string& folder, const std::string& who);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept : descriptor_(other.descriptor_) {
    other.descriptor_ = -1;
  }
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace base
