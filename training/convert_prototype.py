"""Converts what the Python prototype left: its pickled processor becomes plain arrays, its configuration names them.

    python3 training/convert_prototype.py --config config_scenario2.json --out converted

writes converted/processor.safetensors and converted/tinylcm.json. A pickle is a program; this reader runs none of it.
It knows the few classes such a file is made of (a scaler, a PCA, arrays), takes their numbers, and refuses every other
name before anything of that name is looked up. Only Python's standard library is used: neither scikit-learn nor numpy
is imported, so it does not matter which versions wrote the file.
"""

import argparse
import array
import io
import json
import os
import pathlib
import pickle
import struct
import sys

PICKLE_BYTES_MAX = 256 << 20
PICKLED = (".pkl", ".pickle")
TRANSFORMATIONS = ("StandardScalerPCA", "StandardScalerPCATransformer")


class Refused(Exception):
    """What a person is told instead of an answer."""


# ---- what a pickle may hold ------------------------------------------------------------------------------------------


class Plain:
    """An object of a class that is known by name only: its fields, none of its code."""


class Scaler(Plain):
    pass


class Pca(Plain):
    pass


class Transformer(Plain):
    pass


class DataType:
    """numpy.dtype: which number, in which byte order."""

    CODES = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H", "u1": "B",
             "b1": "?"}

    def __init__(self, name="", *_):
        self.name = str(name).lstrip("<>|=")
        self.order = str(name)[0] if str(name)[:1] in "<>|=" and name else "<"

    def __setstate__(self, state):
        if len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def numbers(self, raw: bytes) -> list:
        code = self.CODES.get(self.name)
        if code is None:
            raise Refused(f"an array of {self.name}, which is no number")
        size = struct.calcsize("<" + code)
        if len(raw) % size:
            raise Refused("an array whose bytes are not a whole count of its numbers")
        return list(struct.unpack(f"{'>' if self.order == '>' else '<'}{len(raw) // size}{code}", raw))


class Array:
    """numpy.ndarray: a shape and numbers, in C order."""

    def __init__(self):
        self.shape, self.numbers = (), []

    def __setstate__(self, state):
        _, shape, data_type, is_fortran, raw = state
        if not isinstance(raw, (bytes, bytearray)):
            raise Refused("an array of objects")
        self._set(tuple(shape), data_type.numbers(bytes(raw)), is_fortran)

    def _set(self, shape, numbers, is_fortran):
        count = 1
        for size in shape:
            count *= size
        if count != len(numbers):
            raise Refused("an array whose shape is not its numbers'")
        if is_fortran and len(shape) == 2:
            rows, columns = shape
            numbers = [numbers[column * rows + row] for row in range(rows) for column in range(columns)]
        elif is_fortran and len(shape) > 2:
            raise Refused("an array of more than two dimensions")
        self.shape, self.numbers = shape, numbers


def reconstruct(*_):
    return Array()


def from_buffer(raw, data_type, shape, order):
    made = Array()
    made._set(tuple(shape), data_type.numbers(bytes(raw)), order == "F")
    return made


def scalar(data_type, raw=b""):
    raw = raw if isinstance(raw, (bytes, bytearray)) else str(raw).encode("latin-1")
    return data_type.numbers(bytes(raw))[0]


def encode(text, encoding="latin1"):
    """How protocol 2 writes bytes."""
    return str(text).encode("latin1" if encoding in ("latin1", "latin-1") else "ascii")


def ndarray(*_):
    raise Refused("an array that is made by calling numpy.ndarray")


KNOWN = {
    ("sklearn.preprocessing._data", "StandardScaler"): Scaler,
    ("sklearn.preprocessing.data", "StandardScaler"): Scaler,
    ("sklearn.decomposition._pca", "PCA"): Pca,
    ("sklearn.decomposition.pca", "PCA"): Pca,
    ("tinylcm.core.feature_transformers.standard_scaler_pca", "StandardScalerPCATransformer"): Transformer,
    ("numpy", "ndarray"): ndarray,
    ("numpy", "dtype"): DataType,
    ("_codecs", "encode"): encode,
}
for core in ("numpy.core", "numpy._core"):
    KNOWN[f"{core}.multiarray", "_reconstruct"] = reconstruct
    KNOWN[f"{core}.multiarray", "scalar"] = scalar
    KNOWN[f"{core}.numeric", "_frombuffer"] = from_buffer


class Reader(pickle.Unpickler):
    """Gives stand-ins for the names in KNOWN; nothing is ever imported."""

    def find_class(self, module, name):
        known = KNOWN.get((module, name))
        if known is None:
            raise Refused(f"it asks for {module}.{name}, which no processor needs: nothing of it was run")
        return known

    def persistent_load(self, pid):
        raise Refused("it asks for an object that is kept elsewhere: nothing of it was run")


def read_pickle(path: pathlib.Path):
    try:
        if path.stat().st_size > PICKLE_BYTES_MAX:
            raise Refused(f"more than {PICKLE_BYTES_MAX >> 20} MiB")
        return Reader(io.BytesIO(path.read_bytes())).load()
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    except Exception as error:  # A damaged pickle fails in any way the opcodes allow.
        raise Refused(f"{path}: no pickle that can be read ({type(error).__name__}: {error})") from None


# ---- the processor ---------------------------------------------------------------------------------------------------


def field(thing, *names):
    """A field of an object or a dict, by the first name that it has."""
    fields = thing if isinstance(thing, dict) else getattr(thing, "__dict__", {})
    for name in names:
        if fields.get(name) is not None:
            return fields[name]
    raise Refused(f"no field {names[0]}")


def numbers_of(value) -> list[float]:
    if isinstance(value, Array):
        return [float(number) for number in value.numbers]
    if isinstance(value, (list, tuple)):
        return [float(number) for row in value for number in (row if isinstance(row, (list, tuple)) else [row])]
    raise Refused(f"numbers were expected, not {type(value).__name__}")


def width_of(value) -> int:
    if isinstance(value, Array):
        return value.shape[-1] if value.shape else 0
    return len(value[0]) if value and isinstance(value[0], (list, tuple)) else len(value)


def processor_of(held) -> dict[str, tuple[list[int], list[float]]]:
    """The arrays of a bundle's processor: (raw - mean) / scale, less projection_mean, onto the axes of projection."""
    if not isinstance(held, (dict, Scaler, Pca, Transformer)):
        raise Refused(f"a scaler and a PCA were expected, not {type(held).__name__}")
    scaler = held if isinstance(held, Scaler) else field(held, "scaler", "scaler_data")
    pca = None if isinstance(held, Scaler) else field(held, "pca", "pca_data")
    mean, scale = numbers_of(field(scaler, "mean_", "mean")), numbers_of(field(scaler, "scale_", "scale"))
    count = len(mean)
    arrays = {"mean": ([count], mean), "scale": ([count], scale)}
    sizes = {"scale": len(scale)}
    if pca is not None:
        fields = pca if isinstance(pca, dict) else pca.__dict__
        if fields.get("whiten"):
            raise Refused("a PCA that whitens; only one that does not is known")
        components = field(pca, "components_", "components")
        axes, centre = numbers_of(components), numbers_of(field(pca, "mean_", "mean"))
        sizes |= {"pca mean": len(centre), "pca components": width_of(components)}
        arrays["projection_mean"] = ([count], centre)
        arrays["projection"] = ([len(axes) // max(1, count), count], axes)
    for name, size in sizes.items():
        if size != count:
            raise Refused(f"scaler mean has {count} numbers, {name} has {size}")
    for name, (_, values) in arrays.items():
        if any(value != value or abs(value) > 3.4e38 for value in values):
            raise Refused(f"{name} holds a number that is not finite")
    if count == 0 or any(value <= 0 for value in scale):
        raise Refused("a scale is not above 0")
    return arrays


def safetensors(arrays: dict[str, tuple[list[int], list[float]]]) -> bytes:
    """docs/formats/safetensors.md; every number as float32."""
    header, data = {}, b""
    for name in sorted(arrays):
        shape, values = arrays[name]
        packed = array.array("f", values)
        if sys.byteorder == "big":
            packed.byteswap()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += packed.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


# ---- the configuration -----------------------------------------------------------------------------------------------


def parts_of(config: dict) -> dict:
    return config["tinylcm"] if isinstance(config.get("tinylcm"), dict) else config


def move_paths(value, old: pathlib.Path, new: pathlib.Path):
    """Every `..._path` and `..._dir` below `value` that is relative to `old` becomes relative to `new`."""
    if isinstance(value, list):
        return [move_paths(each, old, new) for each in value]
    if not isinstance(value, dict):
        return value
    moved = {}
    for key, each in value.items():
        is_path = isinstance(each, str) and each and key.endswith(("_path", "_dir")) and not os.path.isabs(each)
        moved[key] = os.path.relpath(old / each, new) if is_path else move_paths(each, old, new)
    return moved


def convert(config_path: pathlib.Path, out: pathlib.Path) -> list[str]:
    try:
        config = json.loads(config_path.read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"{config_path}: {error}") from None
    if not isinstance(config, dict):
        raise Refused(f"{config_path}: an object was expected")
    said = []
    transformation = parts_of(config).get("feature_transformation") or {}
    kind = transformation.get("type")
    if transformation and kind not in TRANSFORMATIONS:
        raise Refused(f"{config_path}: feature_transformation.type: {' or '.join(TRANSFORMATIONS)} is expected, not {kind}")
    key = "processor_path" if "model_path" not in transformation else "model_path"
    given = transformation.get(key, "")
    folder = config_path.parent
    moved = move_paths(config, folder.absolute(), out.absolute())
    if given.endswith(PICKLED):
        arrays = processor_of_file(folder / given)
        out.mkdir(parents=True, exist_ok=True)
        (out / "processor.safetensors").write_bytes(safetensors(arrays))
        parts_of(moved)["feature_transformation"][key] = "processor.safetensors"
        dims = arrays["projection"][0][0] if "projection" in arrays else arrays["mean"][0][0]
        said.append(f"{given}: {arrays['mean'][0][0]} numbers become {dims}")
    else:
        out.mkdir(parents=True, exist_ok=True)
        said.append("no pickle is named; only the paths were moved")
    (out / "tinylcm.json").write_text(json.dumps(moved, indent=1) + "\n")
    return said


def processor_of_file(path: pathlib.Path):
    held = read_pickle(path)
    try:
        return processor_of(held)
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=pathlib.Path, required=True, help="the prototype's configuration")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for processor.safetensors and tinylcm.json")
    given = parser.parse_args()
    try:
        said = convert(given.config, given.out)
    except Refused as refused:
        print(f"convert_prototype: {refused}", file=sys.stderr)
        return 2
    for line in said:
        print(line)
    print(f"next: tinylcm fit --config {given.out / 'tinylcm.json'} --images PICTURES --out BUNDLE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
