// A program of this machine, run as a child process with bounds on its time, memory and output.

#pragma once

#include <memory>
#include <string>

#include "tinysphere/adaptation/program.h"

namespace tinysphere::posix {

// `path`: the file; "" looks for `name` in the folder of the running program. `option`: what a
// person gives to say where it is, for the error's sake.
std::unique_ptr<adaptation::Program> MakeChildProgram(const std::string& path,
                                                      const std::string& name,
                                                      const std::string& option);

}  // namespace tinysphere::posix
