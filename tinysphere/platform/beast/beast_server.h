// The HTTP server on Boost.Beast and OpenSSL.

#pragma once

#include <memory>

#include "tinysphere/http/server.h"

namespace tinysphere::beast {

// Listens and serves from its own threads when it returns. `router`, `fs` and `logger` must outlive
// it. kUnavailable if the address is taken, kInvalidArgument for a bad certificate or key.
base::Result<std::unique_ptr<http::Server>> StartServer(const http::ServerOptions& options,
                                                        const http::Router& router,
                                                        http::EventHub& events,
                                                        base::FileSystem& fs, base::Logger& logger);

}  // namespace tinysphere::beast
