"""Trains the camera's feature model and quantises it to full int8.

    python -m training.train --frames DIR --check DIR --out DIR --seed 1

--frames: pool T, a folder per class; the only frames that are learned from.
--check:  frames of digits that are not in pool T; the figures are measured on them and change nothing.
Writes model.tflite (uint8 96x96x3 in; int8 embedding 128 and int8 softmax out) and training_log.json.
"""

import argparse
import hashlib
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

from training import frames
from training.tflite import FeatureModel

CLASSES = 10
EMBEDDING = 128
# Channels and stride of each depthwise block.
BLOCKS = [(24, 2), (32, 1), (48, 2), (48, 1), (96, 2), (96, 1), (EMBEDDING, 1)]
BATCH = 64
PEAK_LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-3
LABEL_SMOOTHING = 0.05
CALIBRATION_FRAMES = 300


def build() -> tuple[keras.Model, keras.Model]:
    """The model to train (softmax out) and the model to ship (embedding and softmax out)."""
    layers = keras.layers

    def settle(x):
        return layers.ReLU(max_value=6)(layers.BatchNormalization(momentum=0.9)(x))

    inputs = keras.Input((frames.SIDE, frames.SIDE, 3), name="picture")
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = settle(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x))
    for channels, stride in BLOCKS:
        x = settle(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x))
        x = settle(layers.Conv2D(channels, 1, use_bias=False)(x))
    embedding = layers.GlobalAveragePooling2D(name="embedding")(x)
    dropped = layers.Dropout(0.2)(embedding)
    softmax = layers.Dense(CLASSES, activation="softmax", name="softmax")(dropped)
    return keras.Model(inputs, softmax), keras.Model(inputs, [embedding, softmax])


class WarmUpThenCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Half an epoch of warm-up, then a cosine down to 1 % of the peak."""

    def __init__(self, warm_up: int, steps: int):
        self.warm_up, self.steps = warm_up, steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        done = tf.clip_by_value((step - self.warm_up) / (self.steps - self.warm_up), 0.0, 1.0)
        cosine = 0.01 + 0.99 * 0.5 * (1 + tf.cos(np.pi * done))
        return PEAK_LEARNING_RATE * tf.where(step < self.warm_up, (step + 1) / self.warm_up, cosine)

    def get_config(self):
        return {"warm_up": self.warm_up, "steps": self.steps}


def quantise(model: keras.Model, pictures: np.ndarray, out: pathlib.Path) -> bytes:
    """Full int8. Goes through a saved model, as Keras 3 models need."""
    saved = out / "saved_model"
    model.export(str(saved), format="tf_saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [picture[None].astype(np.float32)] for picture in pictures
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8
    return converter.convert()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=pathlib.Path, required=True)
    parser.add_argument("--check", type=pathlib.Path, required=True, nargs="+")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=pathlib.Path, help="where intermediate files go")
    args = parser.parse_args()

    began = time.monotonic()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()

    shared = frames.digit_ids(args.frames) & set().union(*map(frames.digit_ids, args.check))
    if shared:
        raise SystemExit(f"--check shows digits that --frames shows too: {sorted(shared)[:5]}")
    pictures, labels = frames.load(args.frames)
    check = [frames.load(folder) for folder in args.check]
    check_pictures = np.concatenate([pair[0] for pair in check])
    check_labels = np.concatenate([pair[1] for pair in check])
    print(f"{len(pictures)} frames to learn from, {len(check_pictures)} to check", flush=True)

    trained, shipped = build()
    per_epoch = -(-len(pictures) // BATCH)
    trained.compile(
        optimizer=keras.optimizers.AdamW(
            WarmUpThenCosine(per_epoch // 2, per_epoch * args.epochs), weight_decay=WEIGHT_DECAY
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )
    history = trained.fit(
        pictures,
        keras.utils.to_categorical(labels, CLASSES),
        batch_size=BATCH,
        epochs=args.epochs,
        verbose=2,
    )
    votes = trained.predict(check_pictures, batch_size=256, verbose=0)
    float_accuracy = float(np.mean(votes.argmax(1) == check_labels))

    args.out.mkdir(parents=True, exist_ok=True)
    work = args.work or args.out
    work.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(args.seed).permutation(len(pictures))
    content = quantise(shipped, pictures[order[:CALIBRATION_FRAMES]], work)
    path = args.out / "model.tflite"
    path.write_bytes(content)

    model = FeatureModel(path, args.threads)
    _, votes = model.run(check_pictures)
    int8_accuracy = float(np.mean(votes.argmax(1) == check_labels))
    log = {
        "model": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        "seed": args.seed,
        "epochs": args.epochs,
        "frames": {"learned": len(pictures), "checked": len(check_pictures)},
        "digits": {
            "learned": len(frames.digit_ids(args.frames)),
            "checked": len(set().union(*map(frames.digit_ids, args.check))),
        },
        "frames_sha256": {
            "learned": hashlib.sha256(pictures.tobytes()).hexdigest(),
            "checked": hashlib.sha256(check_pictures.tobytes()).hexdigest(),
        },
        "parameters": int(trained.count_params()),
        "accuracy": {"float": round(float_accuracy, 4), "int8": round(int8_accuracy, 4)},
        "history": {k: [round(float(x), 4) for x in v] for k, v in history.history.items()},
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
        "seconds": round(time.monotonic() - began),
    }
    (args.out / "training_log.json").write_text(json.dumps(log, indent=2) + "\n")
    print(json.dumps({"accuracy": log["accuracy"], "bytes": len(content), "seconds": log["seconds"]}))


if __name__ == "__main__":
    main()
