// Upload: what `tinylcm fit --upload` sends to a server: the bundle as it was made (nobody has
// signed it yet), of which files its data consisted, and the figures. docs/formats/training.md.
//
// Runs where people train, not in the field. The archive is the same for the same fit, so sending
// it twice is one training.

#pragma once

#include <string>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/sync/transport.h"

namespace agent {

struct UploadOptions {
  std::string server;      // URL; empty: nothing is sent.
  std::string token_file;  // The API token, an operator's, on its first line.
  std::string tls_pin;
  std::string ca_file;
};

// The archive, of a fit that wrote its bundle to options.out.
base::Result<base::Bytes> MakeTraining(const tinylcm::model::RunFitOptions& options,
                                       const tinylcm::model::FitReport& report,
                                       base::FileSystem& fs);

// Sends it; gives the server's run. kPermissionDenied for a token that is none of an operator.
base::Result<base::Json> SendTraining(tinylcm::sync::Transport& transport, const std::string& token,
                                      base::ByteView archive);

// Both, over the network.
base::Result<base::Json> Upload(const UploadOptions& upload,
                                const tinylcm::model::RunFitOptions& options,
                                const tinylcm::model::FitReport& report, base::FileSystem& fs);

}  // namespace agent
