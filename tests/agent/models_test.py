"""Models of other kinds than a feature extractor in a .tflite: heads, ONNX, and what a device says without its runtime."""

import json
import os
import pathlib
import shutil
import tempfile
import unittest

from device import DONE, MODEL, ROOT, WORKSHOP, Device, done, main, tinylcm

SMALL = ROOT / "tests/models"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tinymlops"
HAS_ONNX = "TINYLCM_ONNXRUNTIME" in os.environ or any(CACHE.glob(f"onnxruntime-*/{os.uname().machine}/libonnxruntime.so"))
MISSING = 3  # An environment that lacks something.


def fresh(name: str) -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / name


def fit(*arguments) -> tuple[pathlib.Path, dict]:
    out = fresh("bundle")
    return out, json.loads(done("fit", "--images", WORKSHOP.frames(), "--out", out, "--name", "digits", "--json", *arguments))


def labels(count: int) -> pathlib.Path:
    path = fresh("labels.txt")
    path.write_text("".join(f"{i}\n" for i in range(count)))
    return path


class Models(unittest.TestCase):
    def run_on_frames(self, bundle: pathlib.Path) -> Device:
        device = Device(self, bundle, {"kind": "camera", "path": str(WORKSHOP.stream_of_frames())})
        self.assertEqual(device.run_to_the_end(), DONE, device.said())
        self.assertEqual(device.indices(), list(range(60)), device.said())
        return device

    def test_a_linear_head_answers_the_digits_as_well_as_the_neighbours(self):
        neighbours = fit("--model", MODEL, "--standardise", "--project", 64)[1]
        bundle, head = fit("--model", MODEL, "--standardise", "--project", 64, "--classifier", "linear", "--anchors-per-class", 0)
        self.assertEqual(head["anchors"], 0)
        self.assertGreater(neighbours["held_out_accuracy"], 0.95)
        self.assertGreaterEqual(head["held_out_accuracy"], neighbours["held_out_accuracy"] - 0.02)
        self.assertLess(head["ece"], 0.1)
        device = self.run_on_frames(bundle)
        self.assertIn("drift is watched, nothing is adapted", device.said())

    def test_a_classification_model_runs_with_nothing_but_its_labels(self):
        for model in ("float.tflite", "int8.tflite", *(["float.onnx"] if HAS_ONNX else [])):
            with self.subTest(model=model):
                out = fresh("bundle")
                done("fit", "--model", SMALL / model, "--classifier", "softmax", "--labels", labels(10), "--input-scale", "symmetric",
                     "--out", out, "--name", "small")
                self.run_on_frames(out)

    def test_labels_that_are_not_as_many_as_outputs_are_refused_with_both_counts(self):
        for count in (9, 11):
            out = fresh("bundle")
            result = tinylcm("fit", "--model", SMALL / "float.tflite", "--classifier", "softmax", "--labels", labels(count),
                             "--output", "logits", "--input-scale", "symmetric", "--out", out)
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"gives 10 numbers, there are {count} labels", result.stderr)
            self.assertFalse(out.exists())

    @unittest.skipUnless(HAS_ONNX, "ONNX Runtime is not installed")
    def test_both_runtimes_make_the_same_answers_of_one_network(self):
        replayed = []
        for model in ("float.tflite", "float.onnx"):
            bundle, _ = fit("--model", SMALL / model, "--output", "features", "--input-scale", "symmetric", "--standardise")
            predictions = fresh("predictions.csv")
            done("replay", "--bundle", bundle, "--images", WORKSHOP.frames(), "--predictions", predictions)
            replayed.append([line.split(",")[1] for line in predictions.read_text().splitlines()[1:]])
        same = sum(a == b for a, b in zip(*replayed))
        self.assertGreaterEqual(same, 0.99 * len(replayed[0]), "their numbers differ by 1e-4; a tie may fall otherwise")

    def test_a_device_says_which_runtime_is_missing_and_one_for_rows_needs_none(self):
        bundle = fresh("bundle")
        shutil.copytree(WORKSHOP.camera(), bundle)
        nowhere = {"TINYLCM_LITERT": "/nowhere/libLiteRt.so", "TINYLCM_ONNXRUNTIME": "/nowhere/libonnxruntime.so"}
        os.environ.update(nowhere)
        self.addCleanup(lambda: [os.environ.pop(name) for name in nowhere])
        device = Device(self, bundle, {"kind": "camera", "path": str(WORKSHOP.stream_of_frames())})
        self.assertEqual(device.run_to_the_end(), MISSING, device.said())
        self.assertIn("libLiteRt.so is not at /nowhere/libLiteRt.so; run tools/setup/fetch-litert.sh", device.said())
        rows = Device(self, WORKSHOP.sensor(), {"kind": "rows", "path": str(WORKSHOP.stream_of_rows())})
        self.assertEqual(rows.run_to_the_end(), DONE, rows.said())
        self.assertEqual(rows.indices(), list(range(600)))

    def test_a_model_with_another_input_is_refused_and_what_it_takes_is_said(self):
        result = tinylcm("fit", "--images", WORKSHOP.frames(), "--model", SMALL / "gray.tflite", "--out", fresh("bundle"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("the model takes 1 channel(s), the input rule says rgb", result.stderr)


if __name__ == "__main__":
    main()
