"""What TinySphere registers in a real MLflow is what MLflow's own clients load, and what they say comes back.

Bundles with a .tflite and an .onnx become versions that `mlflow.pyfunc.load_model` predicts with, by version and by
alias, the same numbers as the runtime itself; a training arrives with its figures; an alias fleet-GROUP becomes a
proposal here, and nothing is rolled out by it.
"""

import json
import os
import subprocess
import unittest

from sphere import Sphere, given, needs
from device import ROOT, WORKSHOP, done, main, wait_until
from mlflow_side import Reader

SEED = int(os.environ.get("SEED", 1))
DELIVERED_S = 120
MODELS = {"float-tflite": "float.tflite", "int8-tflite": "int8.tflite", "float-onnx": "float.onnx"}

# Runs in MLflow's environment: loads by version and by alias, predicts a batch of three, and asks the runtime itself.
LOAD = """
import json, sys
import mlflow, numpy
uri, name, path, seed = sys.argv[1:]
mlflow.set_tracking_uri(uri)
info = mlflow.models.get_model_info(f"models:/{name}/1")
spec = info.signature.inputs.inputs[0]
shape = [3 if size == -1 else size for size in spec.shape]
drawn = numpy.random.default_rng(int(seed))
batch = drawn.uniform(-1, 1, shape).astype(spec.type) if spec.type.kind == "f" else drawn.integers(-100, 100, shape).astype(spec.type)
def plain(answer):
    return {k: v.tolist() for k, v in answer.items()} if isinstance(answer, dict) else {"": answer.tolist()}
answers = [plain(mlflow.pyfunc.load_model(f"models:/{name}{at}").predict(batch)) for at in ("/1", "@champion")]
if path.endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(path)
    names = [one.name for one in session.get_outputs()]
    own = dict(zip(names, (a.tolist() for a in session.run(names, {session.get_inputs()[0].name: batch}))))
else:
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    own = {}
    for one in batch:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], one[None])
        interpreter.invoke()
        for output in interpreter.get_output_details():
            own.setdefault(output["name"], []).extend(interpreter.get_tensor(output["index"]).tolist())
if len(own) == 1:
    own = {"": next(iter(own.values()))}
print(json.dumps({"flavours": sorted(info.flavors), "shape": list(spec.shape), "answers": answers, "own": own}))
"""


def environment() -> tuple[str, dict]:
    """MLflow's Python, and the environment in which it finds the runtimes."""
    places = []
    for script in ("mlflow.sh", "mlflow-runtimes.sh"):
        ended = subprocess.run([str(ROOT / "tools/setup" / script), "--installed"], capture_output=True, text=True)
        if ended.returncode != 0:
            raise unittest.SkipTest(ended.stderr.strip())
        places.append(ended.stdout.strip())
    return f"{places[0]}/python", os.environ | {"PYTHONPATH": places[1], "MLFLOW_DISABLE_TELEMETRY": "true"}


class MlflowModel(unittest.TestCase):
    def setUp(self):
        needs("MLFLOW")
        self.url = given("MLFLOW")
        self.sphere = Sphere(self, "--mlflow", self.url, "--mlflow-look", "1s")
        self.sphere.enrolment_token()
        self.mark = f"{SEED}-{os.getpid()}-{self._testMethodName.split('_')[1]}"
        print(f"seed {SEED}", flush=True)

    def add(self, name: str, model: str) -> None:
        labels = WORKSHOP.folder / "ten-labels"
        labels.write_text("\n".join(map(str, range(10))) + "\n")
        out, archive = WORKSHOP.folder / name, WORKSHOP.folder / f"{name}.tar.zst"
        done("fit", "--model", ROOT / "tests/models" / model, "--classifier", "softmax", "--labels", labels, "--input-scale",
             "symmetric", "--out", out, "--name", name, "--model-family", name, "--version", "1.0.0")
        done("bundle", "make", out, "--out", archive, "--key", f"{WORKSHOP.key('publisher')}.key")
        self.sphere.ask("POST", "/api/v1/bundles", archive.read_bytes(), "application/zstd")

    def wait_until_delivered(self) -> None:
        def delivered():
            state = self.sphere.ask("GET", "/api/v1/mlflow")
            self.assertEqual(state["set_aside_entries"], [])
            return state["is_reachable"] and state["waiting"] == 0
        wait_until(delivered, "the outbox to be empty", DELIVERED_S)

    def test_load_model_predicts_with_the_real_model(self):
        python, variables = environment()
        for kind, model in MODELS.items():
            with self.subTest(model=model):
                name = f"{kind}-{self.mark}"
                self.add(name, model)
                self.sphere.ask("POST", f"/api/v1/models/{name}/versions/1.0.0/stage", {"stage": "production"})
                self.wait_until_delivered()
                ended = subprocess.run([python, "-c", LOAD, self.url, name, str(ROOT / "tests/models" / model), str(SEED)],
                                       capture_output=True, text=True, env=variables, timeout=DELIVERED_S)
                self.assertEqual(ended.returncode, 0, ended.stderr[-3000:])
                said = json.loads(ended.stdout.strip().splitlines()[-1])
                self.assertEqual(said["flavours"], sorted([model.rsplit(".")[1], "python_function", "tinylcm_bundle"]))
                self.assertEqual(said["shape"][0], -1)
                for answer in said["answers"]:
                    self.assertEqual(answer, said["own"])
                self.assertEqual({len(rows) for rows in said["own"].values()}, {3})

    def test_training_is_a_run_with_its_data_and_its_figures(self):
        token = WORKSHOP.folder / "token"
        token.write_text(self.sphere.token() + "\n")
        pin = self.sphere_pin()
        name = f"rows-{self.mark}"
        out = WORKSHOP.folder / name
        fit = ["fit", "--rows", WORKSHOP.rows(), "--label-column", "label", "--standardise", "--anchors-per-class", 5,
               "--name", name, "--model-family", name, "--out", out, "--json", "--upload", self.sphere.url, "--token-file", token,
               "--tls-pin", pin]
        report = json.loads(done(*fit))
        run = self.sphere.ask("GET", f"/api/v1/runs/{report['run_id']}")
        self.assertEqual(run["kind"], "training")
        self.assertEqual({m["name"]: m["value"] for m in run["metrics"]}["accuracy"], report["held_out_accuracy"])
        self.assertEqual(len(run["datasets"]), 1)
        self.assertEqual(json.loads(done(*fit))["run_id"], report["run_id"], "the same fit is the same training")
        self.wait_until_delivered()
        reader = Reader(self.url)
        runs = reader.runs(list(reader.experiments(f"tinysphere/{name}").values()))
        self.assertEqual([r["tags"]["tinysphere.key"] for r in runs], [report["run_id"]])
        self.assertEqual(runs[0]["metrics"]["accuracy"], [(0, report["held_out_accuracy"])])
        listed = reader.call("GET", f"artifacts/list?run_id={runs[0]['id']}")
        self.assertEqual([f["path"] for f in listed["files"]], ["training.tar.zst"])

    def sphere_pin(self) -> str:
        """Of the server's own certificate: the last part of an enrolment token."""
        return self.sphere.enrolment_token().split(".")[4]

    def test_alias_of_a_fleet_becomes_a_proposal_and_no_rollout(self):
        name = f"alias-{self.mark}"
        self.add(name, "int8.tflite")
        self.wait_until_delivered()
        reader = Reader(self.url)
        reader.call("POST", "registered-models/alias", {"name": name, "alias": "fleet-north", "version": "1"})
        def mine():
            return [p for p in self.sphere.all("/api/v1/rollout-proposals") if p["model"] == name]
        wait_until(mine, "the proposal")
        self.assertEqual([(p["group"], p["name"], p["version"], p["state"]) for p in mine()], [("north", name, "1.0.0", "open")])
        self.assertEqual(self.sphere.all("/api/v1/rollouts"), [])
        reader.call("DELETE", "registered-models/alias", {"name": name, "alias": "fleet-north"})
        wait_until(lambda: mine()[0]["state"] == "withdrawn", "the proposal's end")


if __name__ == "__main__":
    main()
