"""Frames from disk, as the device sees them.

The device decodes a frame, cuts out the largest centred square and shrinks it to the model's input by
area: each output pixel is the mean of the input area it covers. This module does the same.
"""

import pathlib

import numpy as np
from PIL import Image

SIDE = 96


def area_weights(source: int, target: int) -> np.ndarray:
    """[target, source]: how much each source pixel adds to each target pixel; every row sums to 1."""
    edges = np.arange(target + 1) * source / target
    starts = np.arange(source)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def picture(path: pathlib.Path) -> np.ndarray:
    """One file -> uint8 [96, 96, 3]."""
    rgb = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)
    height, width, _ = rgb.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    weights = area_weights(side, SIDE)
    square = rgb[top : top + side, left : left + side]
    rows = (weights @ square.reshape(side, side * 3)).reshape(SIDE, side, 3)
    small = weights @ rows  # [96, side] x [96 rows of (side, 3)]
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    files = sorted(folder.glob("*/*.jpg"), key=lambda path: path.name)
    if not files:
        raise SystemExit(f"{folder}: no frames (a folder per class with .jpg files)")
    return files


def load(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """A folder per class -> (pictures uint8 [n, 96, 96, 3], labels int [n]), in frame order."""
    files = _files(folder)
    pictures = np.stack([picture(path) for path in files])
    labels = np.array([int(path.parent.name) for path in files])
    return pictures, labels


def digits(folder: pathlib.Path) -> np.ndarray:
    """The id of the digit shown, frame by frame in load()'s order (<frame>-d<digit>.jpg)."""
    return np.array([int(path.stem.split("-d")[1]) for path in _files(folder)])


def digit_ids(folder: pathlib.Path) -> set[int]:
    """The ids of all digits shown."""
    return set(digits(folder).tolist())
