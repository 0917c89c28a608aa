"""Finds how strong a drift of the test camera has to be for a trained model.

    python -m training.sweep --model FILE --tinyscene FILE --work DIR --out FILE.json

Accuracy by drift and strength on 450 frames a point, then for the demo's drift (light and dirt from
one frame to the next) what it costs without adaptation and what is left of that once the device has
chosen an input hypothesis without any label.

Pool T fits. All that is measured is measured on pool A: hypotheses are made and chosen from its
digits of even id and scored on those of odd id. Pool B is never drawn here, so that what the demo
scores on it was chosen by nothing that has seen it.
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import subprocess

import numpy as np

from training import frames, hypotheses
from training.neighbours import Neighbours
from training.tflite import FeatureModel

POINTS = {
    "light": (0.3, 0.45, 0.6, 0.75, 0.9),
    "dirt": (0.6, 0.7, 0.8, 0.9, 1.0),
    "rotation": (0.3, 0.5, 0.65, 0.8),
    "blur": (0.3, 0.5, 0.7, 0.9),
    "noise": (0.25, 0.5, 0.75, 1.0),
    "cast": (0.5, 1.0),
}
PER_CLASS = 45
POOLS = ("T", "A")
STATISTICS, SCORED = 0, 1  # Halves of pool A.


class Scenes:
    """Frames from the real program, drawn once."""

    def __init__(self, tinyscene: pathlib.Path, work: pathlib.Path):
        self._tinyscene, self._work = tinyscene, work

    def folder(self, pool: str, seed: int, per_class: int, drifts: dict) -> pathlib.Path:
        if pool not in POOLS:
            raise ValueError(f"pool {pool}: only {POOLS} are measured on")
        words = [f"--{name}={strength}" for name, strength in drifts.items()]
        name = "_".join([pool, str(seed), str(per_class), *words])
        folder = self._work / name
        if not folder.exists():
            subprocess.run(
                [str(self._tinyscene), "export", "camera", "--pool", pool, "--seed", str(seed)]
                + ["--per-class", str(per_class), "--out", str(folder), *words],
                check=True,
                stderr=subprocess.DEVNULL,
            )
        return folder

    def load(self, pool: str, seed: int, per_class: int = PER_CLASS, **drifts: float):
        return frames.load(self.folder(pool, seed, per_class, drifts))

    def load_half(self, half: int, seed: int, per_class: int, **drifts: float):
        """Of pool A the frames whose digit's id is even (half 0) or odd (half 1)."""
        folder = self.folder("A", seed, per_class, drifts)
        is_half = frames.digits(folder) % 2 == half
        pictures, labels = frames.load(folder)
        return pictures[is_half], labels[is_half]


def recovery(model, neighbours, scenes, seed: int, drifts: dict[str, float]) -> dict:
    """One camera (seed): before, drifted without adaptation, and with the hypothesis of its choice."""
    calm, labels = scenes.load_half(SCORED, seed, 2 * PER_CLASS)
    before = float(np.mean(neighbours.classify(model.run(calm)[0])[0] == labels))
    reference, _ = scenes.load("T", seed + 1000, 30)
    quarantine, _ = scenes.load_half(STATISTICS, seed, 60, **drifts)
    drifted, labels = scenes.load_half(SCORED, seed, 2 * PER_CLASS, **drifts)

    distances = {}
    corrections = hypotheses.corrections(reference, quarantine)
    for name, correct in corrections.items():
        embeddings, _ = model.run(correct(quarantine))
        distances[name] = float(neighbours.classify(embeddings)[1].mean())
    chosen = min(distances, key=distances.get)
    correct = corrections[chosen]
    none = float(np.mean(neighbours.classify(model.run(drifted)[0])[0] == labels))
    after = float(np.mean(neighbours.classify(model.run(correct(drifted))[0])[0] == labels))
    return {
        "seed": seed,
        "scored_frames": len(labels),
        "before": round(before, 4),
        "no_adaptation": round(none, 4),
        "after": round(after, 4),
        "share_of_before": round(after / before, 4),
        "chosen": chosen,
        "distance_ratio": round(distances[chosen] / distances["identity"], 3),
    }


def text(value, indent: str = "") -> str:
    """JSON with what holds no further object or list on one line."""
    if isinstance(value, (dict, list)) and any(
        isinstance(v, (dict, list)) for v in (value.values() if isinstance(value, dict) else value)
    ):
        deeper = indent + "  "
        if isinstance(value, dict):
            lines = [f"{deeper}{json.dumps(k)}: {text(v, deeper)}" for k, v in value.items()]
        else:
            lines = [deeper + text(v, deeper) for v in value]
        begin, end = "{}" if isinstance(value, dict) else "[]"
        return begin + "\n" + ",\n".join(lines) + "\n" + indent + end
    return json.dumps(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--tinyscene", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for frames")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--light", type=float, default=0.5, help="the demo's drift")
    parser.add_argument("--dirt", type=float, default=0.75, help="the demo's drift")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--demo-only", action="store_true", help="keep --out's single drifts")
    args = parser.parse_args()

    digest = hashlib.sha256(args.model.read_bytes()).hexdigest()
    single = {}
    if args.demo_only:
        kept = json.loads(args.out.read_text())
        if kept["model_sha256"] != digest:
            raise SystemExit(f"{args.out}: measured with another model; run without --demo-only")
        single = kept["single"]

    args.work.mkdir(parents=True, exist_ok=True)
    scenes = Scenes(args.tinyscene, args.work)
    model = FeatureModel(args.model)
    fit_pictures, fit_labels = scenes.load("T", 2, 60)
    neighbours = Neighbours(model.run(fit_pictures)[0], fit_labels)

    def accuracy(**drifts):
        pictures, labels = scenes.load("A", 1, **drifts)
        embeddings, softmax = model.run(pictures)
        return {
            "knn": round(float(np.mean(neighbours.classify(embeddings)[0] == labels)), 4),
            "softmax": round(float(np.mean(softmax.argmax(1) == labels)), 4),
        }

    demo = {"light": args.light, "dirt": args.dirt}
    result = {
        "model_sha256": digest,
        "chosen": demo,
        "frames_per_point": 10 * PER_CLASS,
        "no_drift": accuracy(),
        "single": single,
    }
    print("no drift", result["no_drift"], flush=True)
    for name, strengths in {} if args.demo_only else POINTS.items():
        result["single"][name] = {str(s): accuracy(**{name: s}) for s in strengths}
        print(name, result["single"][name], flush=True)

    for name, drift, seeds in (("demo", demo, args.seeds), ("calm", {}, args.seeds[:3])):
        result[name] = {"drift": drift, "runs": []}
        for seed in seeds:
            run = recovery(model, neighbours, scenes, seed, drift)
            result[name]["runs"].append(run)
            print(name, run, flush=True)
    args.out.write_text(text(result) + "\n")
    shutil.rmtree(args.work)


if __name__ == "__main__":
    main()
