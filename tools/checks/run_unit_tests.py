#!/usr/bin/env python3
"""Runs the test programs through ctest and counts each GoogleTest case.

Usage: run_unit_tests.py BUILD_DIR [--label LABEL]   (without a label: all that have none)
Writes "PASSED FAILED" to the file named by COUNT_FILE, if set.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile


def main() -> int:
    build = sys.argv[1]
    label = sys.argv[sys.argv.index("--label") + 1] if "--label" in sys.argv else None
    select = ["-L", f"^{label}$"] if label else ["-LE", ".+"]
    with tempfile.TemporaryDirectory() as results:
        environment = dict(os.environ, GTEST_OUTPUT=f"json:{results}/")
        junit = pathlib.Path(results) / "ctest.xml"
        run = subprocess.run(
            ["ctest", "--test-dir", build, "--output-on-failure", "--no-tests=error", "-j", "2", "--timeout", "600",
             "--output-junit", str(junit), *select],
            env=environment,
        )
        passed = failed = 0
        for report in pathlib.Path(results).glob("*.json"):
            tests = json.loads(report.read_text())
            bad = tests["failures"] + tests["errors"]
            passed += tests["tests"] - bad - tests["disabled"]
            failed += bad
        # Programs that are no GoogleTest programs count as one test each.
        for line in junit.read_text().splitlines() if junit.exists() else []:
            if "<testcase " not in line:
                continue
            name = line.split('name="')[1].split('"')[0]
            if (pathlib.Path(results) / f"{name}.json").exists():
                continue
            if 'status="run"' in line:
                passed += 1
            else:
                failed += 1
    if run.returncode != 0 and failed == 0:
        failed = 1
    print(f"{passed} passed, {failed} failed")
    if "COUNT_FILE" in os.environ:
        pathlib.Path(os.environ["COUNT_FILE"]).write_text(f"{passed} {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
