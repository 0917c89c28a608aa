"""From the Python prototype: its configuration is read, its pickle converted without being run, a bundle fitted with it."""

import array
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import types
import unittest

from device import DONE, MODEL, ROOT, WORKSHOP, WRONG_USE, main, tinylcm

CONVERTER = ROOT / "training/convert_prototype.py"


# ---- pickles as scikit-learn and numpy write them, without either ----------------------------------------------------


def module(name: str, **members) -> types.ModuleType:
    made = types.ModuleType(name)
    for key, value in members.items():
        value.__module__, value.__qualname__, value.__name__ = name, key, key
        setattr(made, key, value)
    return made


class dtype:  # noqa: N801 - its name in the pickle
    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return dtype, (self.code, False, True), (3, "<", None, None, None, -1, -1, 0)


class ndarray:  # noqa: N801
    def __init__(self, shape, values, code="f8", is_fortran=False):
        self.shape, self.values, self.code, self.is_fortran = shape, values, code, is_fortran

    def __reduce__(self):
        raw = struct.pack(f"<{len(self.values)}{'d' if self.code == 'f8' else 'f'}", *self.values)
        return _reconstruct, (ndarray, (0,), b"b"), (1, self.shape, dtype(self.code), self.is_fortran, raw)


def _reconstruct(*_):
    raise AssertionError("nobody calls this")


class StandardScaler:
    pass


class PCA:
    pass


MODULES = {
    "sklearn.preprocessing._data": module("sklearn.preprocessing._data", StandardScaler=StandardScaler),
    "sklearn.decomposition._pca": module("sklearn.decomposition._pca", PCA=PCA),
    "numpy": module("numpy", ndarray=ndarray, dtype=dtype),
    **{name: module(name) for name in ("sklearn", "sklearn.preprocessing", "sklearn.decomposition", "numpy.core")},
    "numpy.core.multiarray": module("numpy.core.multiarray", _reconstruct=_reconstruct),
}


def pickled(thing) -> bytes:
    known = {name: sys.modules.get(name) for name in MODULES}
    sys.modules |= MODULES
    try:
        return pickle.dumps(thing)
    finally:
        for name, before in known.items():
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before


def processor(mean, scale, centre, axes, is_fortran=False) -> dict:
    """As the prototype's training script writes it; `axes` is a list of rows."""
    scaler, pca = StandardScaler(), PCA()
    scaler.mean_, scaler.scale_ = ndarray((len(mean),), mean), ndarray((len(scale),), scale)
    scaler.with_mean = scaler.with_std = True
    rows, columns = len(axes), len(axes[0])
    flat = [axes[row][column] for column in range(columns) for row in range(rows)] if is_fortran else sum(axes, [])
    pca.components_ = ndarray((rows, columns), flat, "f4", is_fortran)
    pca.mean_, pca.whiten, pca.n_components = ndarray((len(centre),), centre, "f4"), False, rows
    return {"scaler": scaler, "pca": pca, "input_dim": columns, "output_dim": rows}


def arrays_of(path: pathlib.Path) -> dict:
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    data = content[8 + length :]
    return {name: (entry["shape"], list(array.array("f", data[slice(*entry["data_offsets"])])))
            for name, entry in header.items() if name != "__metadata__"}


def config_of(model="model.tflite", held="processor.pkl", **more) -> dict:
    return {"feature_extractor": {"type": "TFLiteFeatureExtractor", "model_path": model, "feature_layer_index": 0},
            "feature_transformation": {"type": "StandardScalerPCA", "model_path": held},
            "adaptive_classifier": {"type": "LightweightKNN", "k": 5, "distance_metric": "euclidean"},
            "drift_detectors": [{"type": "KNNDistanceMonitor", "delta": 0.1, "lambda_threshold": 5.0}], **more}


class Prototype(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        self.config = self.folder / "config.json"
        self.out = self.folder / "converted"

    def convert(self, held, config=None) -> subprocess.CompletedProcess:
        (self.folder / "processor.pkl").write_bytes(held if isinstance(held, bytes) else pickled(held))
        self.config.write_text(json.dumps(config or config_of()))
        return subprocess.run([sys.executable, str(CONVERTER), "--config", str(self.config), "--out", str(self.out)],
                              capture_output=True, text=True, timeout=60)

    def refused(self, held) -> str:
        result = self.convert(held)
        self.assertEqual(result.returncode, WRONG_USE, result.stdout + result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertFalse((self.out / "processor.safetensors").exists())
        return result.stderr

    def test_a_scaler_and_a_pca_become_plain_arrays(self):
        for is_fortran in (False, True):
            result = self.convert(processor([1.0, 2.0, 3.0], [0.5, 1.0, 2.0], [0.25, 0.5, 0.75],
                                            [[1.0, 0.0, -1.0], [0.0, 2.0, 4.0]], is_fortran))
            self.assertEqual(result.returncode, DONE, result.stderr)
            self.assertEqual(arrays_of(self.out / "processor.safetensors"),
                             {"mean": ([3], [1.0, 2.0, 3.0]), "scale": ([3], [0.5, 1.0, 2.0]),
                              "projection_mean": ([3], [0.25, 0.5, 0.75]),
                              "projection": ([2, 3], [1.0, 0.0, -1.0, 0.0, 2.0, 4.0])})

    def test_the_plain_lists_of_its_other_format_are_read_too(self):
        result = self.convert({"scaler_data": {"mean": [1.0, 2.0], "scale": [1.0, 4.0]},
                               "pca_data": {"components": [[1.0, 0.0]], "mean": [0.0, 0.0]}})
        self.assertEqual(result.returncode, DONE, result.stderr)
        self.assertEqual(arrays_of(self.out / "processor.safetensors")["projection"], ([1, 2], [1.0, 0.0]))

    def test_a_pickle_that_would_run_a_program_is_refused_by_its_name_and_runs_nothing(self):
        trace = self.folder / "trace"

        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {trace}",)

        for held in (Evil(), {"scaler": StandardScaler(), "pca": Evil()}):
            said = self.refused(held)
            self.assertIn(f"{os.system.__module__}.system", said)
            self.assertFalse(trace.exists())
        # A name that does no harm by itself is refused as well: only what is expected is read.
        self.assertIn("builtins.eval", self.refused(b"cbuiltins\neval\n(S'1'\ntR."))
        self.assertIn("collections.OrderedDict", self.refused(pickle.dumps(__import__("collections").OrderedDict())))

    def test_what_is_damaged_or_does_not_fit_together_is_refused_in_one_line(self):
        good = pickled(processor([0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [[1.0, 0.0]]))
        for cut in range(0, len(good), 17):
            self.refused(good[:cut])
        self.assertIn("scaler mean has 2 numbers, pca components has 3",
                      self.refused(processor([0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [[1.0, 0.0, 0.0]])))
        self.assertIn("not finite", self.refused(processor([float("nan")], [1.0], [0.0], [[1.0]])))
        self.assertIn("not above 0", self.refused(processor([0.0], [0.0], [0.0], [[1.0]])))
        self.assertIn("no field pca", self.refused({"scaler": StandardScaler()}))

    def test_the_configuration_is_accepted_but_for_the_pickle_whose_conversion_is_named(self):
        self.config.write_text(json.dumps(config_of()))
        result = tinylcm("config", "check", "--config", self.config)
        self.assertEqual(result.returncode, WRONG_USE)
        # First what its thresholds mean, then the one error.
        threshold, error = result.stderr.splitlines()
        self.assertIn("delta 0.1 and lambda_threshold 5 alarm every 3.1 samples on average", threshold)
        command = f"python3 training/convert_prototype.py --config {self.config} --out {self.folder / 'converted'}"
        self.assertIn(command, error)
        # The command that is named works, and what it writes is accepted.
        (self.folder / "processor.pkl").write_bytes(
            pickled(processor([0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [[1.0, 0.0]])))
        done = subprocess.run(["python3", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, DONE, done.stderr)
        said = json.loads(tinylcm("config", "check", "--config", self.out / "tinylcm.json", "--json").stdout)
        self.assertTrue(said["ok"], said)
        self.assertEqual(said["prototype"]["processor"], str(self.out / "processor.safetensors"))
        self.assertEqual(pathlib.Path(said["prototype"]["model"]).resolve(), (self.folder / "model.tflite").resolve())
        self.assertEqual(said["prototype"]["drift_detectors"],
                         [{"type": "KNNDistanceMonitor", "delta": 0.1, "lambda_threshold": 5.0}])

    def test_a_bundle_is_fitted_with_its_model_and_processor_and_runs(self):
        count = self.outputs_of_the_model()
        axes = [[1.0 if column == row else 0.0 for column in range(count)] for row in range(16)]
        held = processor([0.0] * count, [1.0] * count, [0.0] * count, axes)
        pictures = self.folder / "frames"
        pictures.symlink_to(WORKSHOP.frames())
        (self.folder / "model.tflite").symlink_to(MODEL)
        config = config_of()
        config["feature_extractor"]["feature_layer_index"] = 1  # The model's second output is the embedding.
        self.assertEqual(self.convert(held, config).returncode, DONE)
        converted, bundle = self.out / "tinylcm.json", self.folder / "bundle"
        result = tinylcm("run", "--config", converted)
        self.assertEqual(result.returncode, WRONG_USE)
        self.assertIn(f"tinylcm fit --config {converted} --images PICTURES --out BUNDLE", result.stderr)

        fitted = tinylcm("fit", "--config", converted, "--images", pictures, "--out", bundle, "--anchors-per-class", 15)
        self.assertEqual(fitted.returncode, DONE, fitted.stderr)
        self.assertEqual(arrays_of(bundle / "processor.safetensors")["projection"][0], [16, count])
        self.assertEqual(json.loads((bundle / "config.json").read_text())["metric"], "euclidean")

        settings = json.loads(converted.read_text()) | {
            "bundle": str(bundle), "source": {"kind": "camera", "path": str(WORKSHOP.stream_of_frames())}}
        converted.write_text(json.dumps(settings))
        ran = tinylcm("run", "--config", converted)
        self.assertEqual(ran.returncode, DONE, ran.stderr)
        status = json.loads((self.out / "tinylcm-data/status.json").read_text())
        self.assertEqual(status["frames"], 60)

    def test_a_processor_of_another_dimension_is_refused_not_padded(self):
        (self.folder / "model.tflite").symlink_to(MODEL)
        self.assertEqual(self.convert(processor([0.0] * 7, [1.0] * 7, [0.0] * 7, [[1.0] * 7])).returncode, DONE)
        result = tinylcm("fit", "--config", self.out / "tinylcm.json", "--images", WORKSHOP.frames(),
                         "--out", self.folder / "bundle")
        self.assertEqual(result.returncode, WRONG_USE, result.stderr)
        self.assertIn("the processor takes 7 numbers, the model gives", result.stderr)
        self.assertFalse((self.folder / "bundle").exists())

    def outputs_of_the_model(self) -> int:
        return arrays_of(WORKSHOP.camera() / "processor.safetensors")["mean"][0][0]


class RealArrays(unittest.TestCase):
    """The prototype's own arrays, put into a pickle and taken out again: the same float32 numbers."""

    def setUp(self):
        self.data = pathlib.Path(os.environ.get("TINYMLOPS_DATA", "/nowhere")) / "embeddings/processor_4c"
        if not self.data.exists():
            self.skipTest("the prototype's arrays are not here (TINYMLOPS_DATA)")

    def numbers(self, name: str):
        content = (self.data / f"{name}.npy").read_bytes()
        start = 10 + struct.unpack("<H", content[8:10])[0]
        is_double = b"'<f8'" in content[:start]
        return list(array.array("d" if is_double else "f", content[start:]))

    def test_come_out_as_they_went_in(self):
        mean, scale, centre = (self.numbers(name) for name in ("scaler_mean", "scaler_scale", "pca_mean"))
        flat = self.numbers("pca_components")
        axes = [flat[row * 1280 : (row + 1) * 1280] for row in range(256)]
        folder = pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder))
        (folder / "processor.pkl").write_bytes(pickled(processor(mean, scale, centre, axes)))
        (folder / "c.json").write_text(json.dumps(config_of()))
        done = subprocess.run([sys.executable, str(CONVERTER), "--config", str(folder / "c.json"), "--out", str(folder / "o")],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, DONE, done.stderr)
        made = arrays_of(folder / "o/processor.safetensors")
        self.assertEqual(made["mean"], ([1280], list(array.array("f", mean))))
        self.assertEqual(made["scale"], ([1280], list(array.array("f", scale))))
        self.assertEqual(made["projection_mean"], ([1280], centre))
        self.assertEqual(made["projection"], ([256, 1280], flat))


if __name__ == "__main__":
    main()
