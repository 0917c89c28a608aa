"""The nearest five by scikit-learn's brute search, and by the faiss-cpu wheel, for knn_benchmark.

Usage: knn_sklearn.py FILE COUNT DIMS: FILE holds COUNT rows of unit length and a query, float32.
Prints: microseconds a query of scikit-learn, of faiss, and the five places both name.
"""

import os
import sys
import time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[threads] = "1"

import faiss
import numpy as np
from sklearn.neighbors import NearestNeighbors

SLICES, CALLS = 20, 50


def best_us(call):
    best = float("inf")
    for _ in range(SLICES):
        start = time.thread_time_ns()
        for _ in range(CALLS):
            call()
        best = min(best, (time.thread_time_ns() - start) / CALLS / 1e3)
    return best


def main():
    path, count, dims = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    numbers = np.fromfile(path, dtype=np.float32).reshape(count + 1, dims)
    rows, query = np.ascontiguousarray(numbers[:-1]), numbers[-1:].copy()
    neighbours = NearestNeighbors(n_neighbors=5, algorithm="brute", metric="cosine").fit(rows)
    index = faiss.IndexFlatIP(dims)
    index.add(rows)
    unit = query / np.linalg.norm(query)
    found = neighbours.kneighbors(query, return_distance=False)[0]
    if list(found) != list(index.search(unit, 5)[1][0]):
        sys.exit("scikit-learn and faiss disagree")
    print(best_us(lambda: neighbours.kneighbors(query)), best_us(lambda: index.search(unit, 5)), *found)


main()
