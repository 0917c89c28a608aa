"""The quantised model, run on pictures."""

import pathlib

import numpy as np
import tensorflow as tf


class FeatureModel:
    """uint8 pictures [n, 96, 96, 3] -> (embedding float [n, 128], softmax float [n, 10])."""

    def __init__(self, path: pathlib.Path, threads: int = 2):
        self._interpreter = tf.lite.Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        # The embedding is the wider of the two, however the converter ordered them.
        self._outputs = sorted(outputs, key=lambda o: -o["shape"][-1])

    def run(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        results = ([], [])
        for picture in pictures:
            self._interpreter.set_tensor(self._input["index"], picture[None])
            self._interpreter.invoke()
            for result, output in zip(results, self._outputs):
                scale, zero = output["quantization"]
                raw = self._interpreter.get_tensor(output["index"])[0]
                result.append((raw.astype(np.float32) - zero) * scale)
        return np.stack(results[0]), np.stack(results[1])
