// What this process takes of its machine: getrusage(2), proc(5). A figure that cannot be had is 0.

#pragma once

#include "tinysphere/operation/process.h"

namespace tinysphere::posix {

operation::ProcessFigures ReadProcessFigures();

}  // namespace tinysphere::posix
