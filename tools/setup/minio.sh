#!/usr/bin/env bash
# Prints the folder that holds MinIO, the S3 store of the service tests, and builds it if it is not there.
set -euo pipefail

title=MinIO program=minio version=20260212201848
module=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
. "$(dirname "$0")/go-tool.sh"
