"""What may be wrong with the camera, each as a correction of its pictures.

The statistics come from unlabelled pictures alone: those of the reference (before) and those of the
stream that is to be corrected. These are the input hypotheses the device tries after an alarm.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

Correction = Callable[[np.ndarray], np.ndarray]
ANGLES = (-40, -30, -20, -10, 10, 20, 30, 40)


def _smooth(image: np.ndarray, deviation: float = 2.0) -> np.ndarray:
    """Gaussian blur of a float [h, w, 3]; the edge goes on as it is."""
    radius = int(3 * deviation + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        padded = np.pad(image, [(radius, radius) if a == axis else (0, 0) for a in range(3)], "edge")
        image = np.apply_along_axis(lambda line: np.convolve(line, taps, "valid"), axis, padded)
    return image


def _to_bytes(pictures: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def _turn(angle: int) -> Correction:
    def correct(pictures: np.ndarray) -> np.ndarray:
        turned = []
        for picture in pictures:
            # The corners that come in are filled with what is typical of the picture's rim.
            rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
            fill = tuple(int(v) for v in np.median(rim, axis=0))
            image = Image.fromarray(picture).rotate(angle, Image.BILINEAR, fillcolor=fill)
            turned.append(np.asarray(image))
        return np.stack(turned)

    return correct


def corrections(reference: np.ndarray, stream: np.ndarray) -> dict[str, Correction]:
    """All hypotheses, made ready from the pictures of before and those of now (uint8 [n, h, w, 3])."""
    before, now = reference.astype(np.float32), stream.astype(np.float32)
    mean_before, mean_now = before.mean(axis=0), now.mean(axis=0)

    axes = (0, 1, 2)
    gain = before.std(axis=axes) / (now.std(axis=axes) + 1e-6)
    shift = before.mean(axis=axes) - gain * now.mean(axis=axes)

    field = np.clip((_smooth(mean_before) + 4) / (_smooth(mean_now) + 4), 0.3, 6.0)
    contrast = np.clip(
        (_smooth(before.std(axis=0)) + 4) / (_smooth(now.std(axis=0)) + 4), 0.3, 8.0
    )
    return {
        "identity": lambda pictures: pictures,
        "gain": lambda pictures: _to_bytes(pictures * gain + shift),
        "flat_field": lambda pictures: _to_bytes(pictures * field),
        "flat_field_contrast": lambda pictures: _to_bytes(
            (pictures - mean_now) * contrast + mean_before
        ),
        **{f"rotate_{angle:+d}": _turn(angle) for angle in ANGLES},
    }
