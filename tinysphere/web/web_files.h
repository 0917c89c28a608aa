// The dashboard's files, as compiled into this binary. Made by embed.py from web/dist.

#pragma once

#include <span>

#include "tinysphere/http/web_files.h"

namespace tinysphere::web {

// Sorted by path. Lives as long as the program.
std::span<const http::WebFile> WebFiles();

}  // namespace tinysphere::web
