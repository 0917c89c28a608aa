// The verbs of `tinylcm` that need no running agent: fit, bundle, detect, replay. Each declares its
// options and does its work; figures go to stdout, one line of error to stderr.

#pragma once

#include "base/command_line.h"
#include "base/file_system.h"
#include "tinylcm/tinylcm.h"

namespace agent {

inline constexpr const char* kProgram = "tinylcm";
inline const char* const kVersion = tinylcm::Version();

// Where verbs read and write.
inline base::FileSystem& Disk() { return base::SystemFileSystem(); }

void AddFit(base::CommandLine& line);
void AddBundle(base::CommandLine& line);
void AddReplay(base::CommandLine& line);

}  // namespace agent
