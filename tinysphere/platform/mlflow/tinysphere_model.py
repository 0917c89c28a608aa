"""Loads a model that TinySphere registered, for mlflow.pyfunc: an array in, an array out.

A .tflite runs on LiteRT, an .onnx on ONNX Runtime. What comes in is a batch of what the model takes, as the
signature says; a model that takes one at a time is run one after the other. Several outputs come as a dict.
"""

import numpy as np


def _one_array(given):
    if isinstance(given, dict):
        if len(given) != 1:
            raise ValueError(f"one input is wanted, not {sorted(given)}")
        given = next(iter(given.values()))
    return np.asarray(given)


class _Model:
    """`predict` as mlflow.pyfunc calls it; `_run` takes what the model takes and gives its outputs by name."""

    input_shape = ()
    input_dtype = None

    def predict(self, model_input, params=None):
        batch = _one_array(model_input)
        rank = len(self.input_shape)
        if batch.ndim == rank - 1:
            batch = batch[None]
        wanted = [size if isinstance(size, int) and size > 0 else None for size in self.input_shape]
        fits = batch.ndim == rank and all(w is None or w == b for w, b in zip(wanted[1:], batch.shape[1:]))
        if not fits:
            raise ValueError(f"an array of shape {tuple(self.input_shape)} is wanted, not {batch.shape}")
        if not np.can_cast(batch.dtype, self.input_dtype, "same_kind"):
            raise ValueError(f"an array of {np.dtype(self.input_dtype)} is wanted, not of {batch.dtype}")
        batch = batch.astype(self.input_dtype, copy=False)
        if wanted and wanted[0] is None:
            outputs = self._run(batch)
        else:
            size = wanted[0] if wanted else 1
            if len(batch) % size:
                raise ValueError(f"a multiple of {size} is wanted, not {len(batch)}")
            parts = [self._run(batch[at : at + size]) for at in range(0, len(batch), size)]
            outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def _run(self, batch):
        raise NotImplementedError


class _LiteRt(_Model):
    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=path, num_threads=1)
        self._interpreter.allocate_tensors()
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1:
            raise ValueError(f"{path}: {len(inputs)} inputs, one is wanted")
        self._input = inputs[0]
        self.input_shape = [int(size) for size in self._input["shape"]]
        self.input_dtype = self._input["dtype"]

    def _run(self, batch):
        self._interpreter.set_tensor(self._input["index"], np.ascontiguousarray(batch))
        self._interpreter.invoke()
        return {one["name"]: self._interpreter.get_tensor(one["index"]) for one in self._interpreter.get_output_details()}


class _OnnxRuntime(_Model):
    _DTYPES = {"float": "float32", "double": "float64"}

    def __init__(self, path):
        import onnxruntime

        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ValueError(f"{path}: {len(inputs)} inputs, one is wanted")
        self._input = inputs[0]
        self.input_shape = list(self._input.shape)
        kind = self._input.type.removeprefix("tensor(").removesuffix(")")
        self.input_dtype = np.dtype(self._DTYPES.get(kind, kind))

    def _run(self, batch):
        names = [one.name for one in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {self._input.name: batch})))


def _load_pyfunc(path):
    return _OnnxRuntime(path) if str(path).endswith(".onnx") else _LiteRt(str(path))
