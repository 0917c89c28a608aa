#!/usr/bin/env bash
# The dashboard's own checks: types, lint, arrows and component tests.
set -euo pipefail
cd "$(dirname "$0")/../../web"
[ -d node_modules ] || npm ci --no-audit --no-fund
npm run --silent check
npx vitest run --reporter=default --reporter=json --outputFile=/tmp/tinymlops-vitest.$$.json
python3 - "/tmp/tinymlops-vitest.$$.json" <<'P'
import json, os, sys
report = json.load(open(sys.argv[1]))
if "COUNT_FILE" in os.environ:
    open(os.environ["COUNT_FILE"], "w").write(f"{report['numPassedTests']} {report['numFailedTests']}\n")
P
rm -f "/tmp/tinymlops-vitest.$$.json"
