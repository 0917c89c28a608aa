"""Is a trained model as good as its log says and as the demo needs?

    python -m training.verify --model FILE --log FILE --check DIR... [--committed FILE]

Exit 0: yes; 1: no, with the reason.
"""

import argparse
import hashlib
import json
import pathlib
import sys

import numpy as np

from training import frames
from training.tflite import FeatureModel

ACCURACY_MIN = 0.98
BYTES_MAX = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--log", type=pathlib.Path, required=True)
    parser.add_argument("--check", type=pathlib.Path, required=True, nargs="+")
    parser.add_argument("--committed", type=pathlib.Path)
    args = parser.parse_args()

    content = args.model.read_bytes()
    log = json.loads(args.log.read_text())
    digest = hashlib.sha256(content).hexdigest()
    pairs = [frames.load(folder) for folder in args.check]
    pictures = np.concatenate([pair[0] for pair in pairs])
    labels = np.concatenate([pair[1] for pair in pairs])
    embeddings, softmax = FeatureModel(args.model).run(pictures)
    accuracy = float(np.mean(softmax.argmax(1) == labels))

    wrong = []
    if digest != log["model"]["sha256"]:
        wrong.append("the log describes another model")
    if hashlib.sha256(pictures.tobytes()).hexdigest() != log["frames_sha256"]["checked"]:
        wrong.append("the frames are not those of the log")
    elif round(accuracy, 4) != log["accuracy"]["int8"]:
        wrong.append(f"accuracy is {accuracy:.4f}, the log says {log['accuracy']['int8']}")
    if accuracy < ACCURACY_MIN:
        wrong.append(f"accuracy {accuracy:.4f} is below {ACCURACY_MIN}")
    if len(content) >= BYTES_MAX:
        wrong.append(f"{len(content)} bytes are {BYTES_MAX} or more")
    if embeddings.shape[1] != 128:
        wrong.append(f"the embedding has {embeddings.shape[1]} values, not 128")
    for reason in wrong:
        print(f"verify: {args.model}: {reason}", file=sys.stderr)

    same = args.committed is not None and args.committed.read_bytes() == content
    print(json.dumps({"accuracy": round(accuracy, 4), "sha256": digest, "same_as_committed": same}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
