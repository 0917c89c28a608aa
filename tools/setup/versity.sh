#!/usr/bin/env bash
# Prints the folder that holds the Versity gateway, the second S3 store of the service tests, and builds it if
# it is not there.
set -euo pipefail

title="the Versity gateway" program=versitygw version=1.8.0
module=github.com/versity/versitygw/cmd/versitygw@v1.8.0
. "$(dirname "$0")/go-tool.sh"
