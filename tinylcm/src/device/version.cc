#include "tinylcm/tinylcm.h"

namespace tinylcm {

const char* Version() { return TINYLCM_VERSION; }  // The project's, given by CMakeLists.txt.

}  // namespace tinylcm
