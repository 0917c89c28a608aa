// The source that a configuration describes, opened.

#pragma once

#include <memory>

#include "agent/config.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinylcm/source/frame.h"

namespace agent {

base::Result<std::unique_ptr<tinylcm::source::Source>> OpenSourceOf(const Config& config,
                                                                    base::FileSystem& fs,
                                                                    base::Clock& clock,
                                                                    base::Logger& logger);

}  // namespace agent
