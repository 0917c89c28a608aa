"""river's detectors on the numbers drift_quality is run on: their alarms, and what an update costs.

Usage: river_side.py alarms FILE: FILE holds streams of float64, each after its length (one float64
       more); ADWIN with its defaults sees each from its first value. Prints the indices of its
       alarms, a line a stream.
       river_side.py ns: prints a detector and its nanoseconds an update, a line each; processor
       time, the best of the slices, on normal values (the binary ones on errors, .2 of them).
"""

import sys
import time

import numpy as np
from river import drift

SLICES = 20


def alarms(path):
    numbers = np.fromfile(path, dtype=np.float64)
    at = 0
    while at < len(numbers):
        count = int(numbers[at])
        detector = drift.ADWIN()
        said = []
        for i, value in enumerate(numbers[at + 1 : at + 1 + count].tolist()):
            detector.update(value)
            if detector.drift_detected:
                said.append(i)
        print(*said)
        at += 1 + count


def best_ns(detector, values):
    best = float("inf")
    for _ in range(SLICES):
        start = time.thread_time_ns()
        for value in values:
            detector.update(value)
        best = min(best, (time.thread_time_ns() - start) / len(values))
    return best


def nanoseconds():
    rng = np.random.default_rng(1)
    normal = rng.normal(size=2000).tolist()
    errors = (rng.random(2000) < 0.2).tolist()
    for name, detector, values in (
        ("page_hinkley", drift.PageHinkley(threshold=1e9), normal),
        ("adwin", drift.ADWIN(), normal),
        ("kswin", drift.KSWIN(alpha=1e-9, seed=1), normal[:100]),
        ("ddm", drift.binary.DDM(), errors),
        ("eddm", drift.binary.EDDM(), errors),
        ("hddm_a", drift.binary.HDDMA(), errors),
        ("hddm_w", drift.binary.HDDMW(), errors),
    ):
        best_ns(detector, values[:200])
        print(name, best_ns(detector, values))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "alarms":
        alarms(sys.argv[2])
    elif sys.argv[1:] == ["ns"]:
        nanoseconds()
    else:
        sys.exit(__doc__)


main()
