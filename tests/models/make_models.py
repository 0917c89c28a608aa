#!/usr/bin/env python3
"""Writes the small networks that the engines' tests run: the same weights as .tflite and as .onnx.

    pip install flatbuffers==25.12.19 tflite==2.18.0 onnx==1.23.2 numpy==2.4.6
    make_models.py OUT

The network: 24 x 16 pixels (width x height) -> two 3 x 3 convolutions of stride 2 -> mean over the
picture (32 "features") -> 10 "logits" -> "probabilities". Weights are drawn from a fixed seed.

    float.tflite   [-1, 16, 24, 3] floats -1 to 1, open batch     float.onnx  [batch, 3, 16, 24]
    int8.tflite    [1, 16, 24, 3] int8, int8 outputs              int8.onnx   [1, 16, 24, 3] uint8
    gray.tflite    [1, 16, 24, 1] floats 0 to 1, 8 features       gray.onnx   [1, 1, 16, 24]
"""

import pathlib
import sys

import flatbuffers
import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH = 16, 24
OUTPUTS = ["probabilities", "features", "logits"]
# A zero point of -1 makes the pixel 127.5 the real 0.
INPUT_SCALE, INPUT_ZERO = 2 / 255, -1


class Network:
    """Weights: convolutions as [out, 3, 3, in], the last layer as [classes, features]."""

    def __init__(self, channels, filters, classes, seed):
        rng = np.random.default_rng(seed)

        def draw(*shape):
            return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)

        self.convolutions = []
        for count in filters:
            self.convolutions.append((draw(count, 3, 3, channels), rng.normal(0, 0.1, count).astype(np.float32)))
            channels = count
        self.dense = None
        if classes:
            self.dense = (4 * draw(classes, channels), rng.normal(0, 0.1, classes).astype(np.float32))

    def run(self, pictures):
        """pictures [n, height, width, channels] -> what each layer gives, last the logits."""
        values = [pictures]
        x = pictures
        for weights, bias in self.convolutions:
            n, height, width, _ = x.shape
            padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))  # SAME, stride 2, even sizes
            y = np.zeros((n, height // 2, width // 2, len(bias)), np.float32)
            for i in range(3):
                for j in range(3):
                    y += padded[:, i : i + height : 2, j : j + width : 2][:, : height // 2, : width // 2] @ weights[:, i, j].T
            x = np.maximum(y + bias, 0)
            values.append(x)
        x = x.mean(axis=(1, 2))
        values.append(x)
        if self.dense:
            values.append(x @ self.dense[0].T + self.dense[1])
        return values


def scales_of(network):
    """Scale and zero point of what each layer gives, from pictures of every brightness."""
    rng = np.random.default_rng(5)
    pictures = rng.uniform(-1, 1, (64, HEIGHT, WIDTH, 3)) * rng.uniform(0, 1, (64, 1, 1, 1))
    found = [(INPUT_SCALE, INPUT_ZERO)]
    for values in network.run(pictures.astype(np.float32))[1:]:
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        scale = float(np.float32((high - low) / 255))
        found.append((scale, int(round(-128 - low / scale))))
    return found


def quantised(weights):
    """int8 weights and their scale, one per output channel."""
    scale = np.abs(weights).reshape(len(weights), -1).max(axis=1) / 127
    shape = (-1,) + (1,) * (weights.ndim - 1)
    return np.clip(np.round(weights / scale.reshape(shape)), -127, 127).astype(np.int8), scale.astype(np.float32)


# --- .tflite -------------------------------------------------------------------------------------


class TfliteWriter:
    def __init__(self):
        self.b = flatbuffers.Builder(1 << 16)
        self.tensors, self.buffers, self.operators, self.codes = [], [], [], []
        self.buffer(None)

    def table(self, name, **fields):
        module = getattr(tflite, name) if not hasattr(tflite, name + "Start") else tflite
        getattr(module, name + "Start")(self.b)
        for field, value in fields.items():
            if value is not None:
                getattr(module, f"{name}Add{field}")(self.b, value)
        return getattr(module, name + "End")(self.b)

    def numbers(self, values, dtype):
        return self.b.CreateNumpyVector(np.asarray(values, dtype))

    def offsets(self, values):
        self.b.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.b.PrependUOffsetTRelative(value)
        return self.b.EndVector()

    def buffer(self, array):
        data = None
        if array is not None:
            raw = array.tobytes()
            self.b.StartVector(1, len(raw), 16)
            self.b.head -= len(raw)
            self.b.Bytes[self.b.head : self.b.head + len(raw)] = raw
            data = self.b.EndVector()
        self.buffers.append(self.table("Buffer", Data=data))
        return len(self.buffers) - 1

    def tensor(self, name, shape, kind, array=None, scale=None, zero=None, open_batch=False):
        quantisation = None
        if scale is not None:
            scales = np.atleast_1d(scale)
            quantisation = self.table(
                "QuantizationParameters",
                Scale=self.numbers(scales, np.float32),
                ZeroPoint=self.numbers(np.zeros(len(scales)) if zero is None else [zero], np.int64),
            )
        text = self.b.CreateString(name)
        signature = self.numbers([-1, *shape[1:]], np.int32) if open_batch else None
        at = self.numbers(shape, np.int32)
        buffer = 0 if array is None else self.buffer(array)
        self.tensors.append(
            self.table("Tensor", Shape=at, Type=kind, Buffer=buffer, Name=text, Quantization=quantisation,
                       ShapeSignature=signature, HasRank=True)
        )
        return len(self.tensors) - 1

    def operator(self, code, version, inputs, outputs, options_type, options):
        if (code, version) not in self.codes:
            self.codes.append((code, version))
        index = self.codes.index((code, version))
        self.operators.append(
            self.table("Operator", OpcodeIndex=index, Inputs=self.numbers(inputs, np.int32),
                       Outputs=self.numbers(outputs, np.int32), BuiltinOptionsType=options_type, BuiltinOptions=options)
        )

    def finish(self, given, taken):
        codes = [self.table("OperatorCode", DeprecatedBuiltinCode=code, BuiltinCode=code, Version=version)
                 for code, version in self.codes]
        graph = self.table("SubGraph", Tensors=self.offsets(self.tensors), Inputs=self.numbers([given], np.int32),
                           Outputs=self.numbers([t for _, t in taken], np.int32), Operators=self.offsets(self.operators),
                           Name=self.b.CreateString("main"))

        def named(name, tensor):
            return self.table("TensorMap", Name=self.b.CreateString(name), TensorIndex=tensor)

        signature = self.table("SignatureDef", Inputs=self.offsets([named("picture", given)]),
                               Outputs=self.offsets([named(n, t) for n, t in taken]),
                               SignatureKey=self.b.CreateString("serving_default"), SubgraphIndex=0)
        model = self.table("Model", Version=3, OperatorCodes=self.offsets(codes), Subgraphs=self.offsets([graph]),
                           Buffers=self.offsets(self.buffers), SignatureDefs=self.offsets([signature]))
        self.b.Finish(model, b"TFL3")
        return bytes(self.b.Output())


def write_tflite(network, channels, is_int8=False, open_batch=False):
    w = TfliteWriter()
    kind = tflite.TensorType.INT8 if is_int8 else tflite.TensorType.FLOAT32
    scales = scales_of(network) if is_int8 else None

    def value(name, shape, layer, scale=None):
        scale = scale or (scales[layer] if is_int8 else None)
        extra = {"scale": scale[0], "zero": scale[1]} if is_int8 else {}
        return w.tensor(name, [1, *shape], kind, open_batch=open_batch, **extra)

    def parameters(name, weights, bias, layer):
        """Weights as the operators want them: [out, ...], and the bias."""
        if not is_int8:
            return (w.tensor(name + "/weights", weights.shape, kind, weights), w.tensor(name + "/bias", bias.shape, kind, bias))
        stored, scale = quantised(weights)
        if weights.ndim == 2:  # A dense layer has one scale.
            scale = np.float32(np.abs(weights).max() / 127)
            stored = np.clip(np.round(weights / scale), -127, 127).astype(np.int8)
        product = np.float64(scales[layer][0]) * np.atleast_1d(scale)
        number = w.tensor(name + "/weights", weights.shape, kind, stored, scale=scale, zero=0 if weights.ndim == 2 else None)
        shifts = np.round(bias / product).astype(np.int32)
        return number, w.tensor(name + "/bias", bias.shape, tflite.TensorType.INT32, shifts, scale=product.astype(np.float32),
                                zero=0 if weights.ndim == 2 else None)

    op = tflite.BuiltinOperator
    opt = tflite.BuiltinOptions
    height, width = HEIGHT, WIDTH
    given = x = value("picture:0", [height, width, channels], 0)
    for i, (weights, bias) in enumerate(network.convolutions):
        height, width = height // 2, width // 2
        number, shift = parameters(f"conv{i}", weights, bias, i)
        y = value(f"conv{i}", [height, width, len(bias)], i + 1)
        options = w.table("Conv2DOptions", Padding=tflite.Padding.SAME, StrideW=2, StrideH=2,
                          FusedActivationFunction=tflite.ActivationFunctionType.RELU, DilationWFactor=1, DilationHFactor=1)
        w.operator(op.CONV_2D, 3 if is_int8 else 1, [x, number, shift], [y], opt.Conv2DOptions, options)
        x = y
    layer = len(network.convolutions) + 1
    count = len(network.convolutions[-1][1])
    axes = w.tensor("axes", [2], tflite.TensorType.INT32, np.array([1, 2], np.int32))
    features = value("StatefulPartitionedCall:1", [count], layer)
    w.operator(op.MEAN, 2 if is_int8 else 1, [x, axes], [features], opt.ReducerOptions,
               w.table("ReducerOptions", KeepDims=False))
    if network.dense is None:
        return w.finish(given, [("features", features)])
    weights, bias = network.dense
    number, shift = parameters("dense", weights, bias, layer)
    logits = value("StatefulPartitionedCall:2", [len(bias)], layer + 1)
    w.operator(op.FULLY_CONNECTED, 4 if is_int8 else 1, [features, number, shift], [logits], opt.FullyConnectedOptions,
               w.table("FullyConnectedOptions", FusedActivationFunction=0))
    probabilities = value("StatefulPartitionedCall:0", [len(bias)], 0, (1 / 256, -128) if is_int8 else None)
    w.operator(op.SOFTMAX, 2 if is_int8 else 1, [logits], [probabilities], opt.SoftmaxOptions,
               w.table("SoftmaxOptions", Beta=1.0))
    return w.finish(given, list(zip(OUTPUTS, [probabilities, features, logits])))


# --- .onnx ---------------------------------------------------------------------------------------


def write_onnx(network, channels, is_int8=False, batch="batch"):
    nodes, constants = [], []
    scales = scales_of(network) if is_int8 else None

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def rounded(name, layer):
        """The value as int8 and back, as the .tflite has it."""
        if not is_int8:
            return name
        scale, zero = scales[layer]
        s = constant(f"{name}/scale", np.float32(scale))
        z = constant(f"{name}/zero", np.int8(zero))
        node("QuantizeLinear", [name, s, z], f"{name}/stored")
        return node("DequantizeLinear", [f"{name}/stored", s, z], f"{name}/rounded")

    def parameters(name, weights, bias, layer):
        if not is_int8:
            return constant(f"{name}/weights", weights), constant(f"{name}/bias", bias)
        stored, scale = quantised(weights)
        if weights.ndim == 2:
            scale = np.float32(np.abs(weights).max() / 127)
            stored = np.clip(np.round(weights / scale), -127, 127).astype(np.int8)
        attributes = {"axis": 0} if weights.ndim > 2 else {}
        zeros = np.zeros(np.shape(scale), np.int8)
        number = node("DequantizeLinear", [constant(f"{name}/stored", stored), constant(f"{name}/scales", scale),
                                           constant(f"{name}/zeros", zeros)], f"{name}/weights", **attributes)
        product = (np.float64(scales[layer][0]) * np.atleast_1d(scale)).astype(np.float32)
        shifts = np.round(bias / product).astype(np.int32)
        if weights.ndim == 2:
            product = product[0]
        shift = node("DequantizeLinear", [constant(f"{name}/shifts", shifts), constant(f"{name}/products", product)],
                     f"{name}/bias", **attributes)
        return number, shift

    if is_int8:  # The picture as a camera has it; what the other graphs are given is computed here.
        given = helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, HEIGHT, WIDTH, channels])
        node("Cast", ["picture"], "numbers", to=TensorProto.FLOAT)
        node("Div", ["numbers", constant("half", np.float32(127.5))], "unit")
        node("Sub", ["unit", constant("one", np.float32(1))], "symmetric")
        x = rounded(node("Transpose", ["symmetric"], "planes", perm=[0, 3, 1, 2]), 0)
    else:
        given = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [batch, channels, HEIGHT, WIDTH])
        x = "picture"
    for i, (weights, bias) in enumerate(network.convolutions):
        number, shift = parameters(f"conv{i}", np.ascontiguousarray(weights.transpose(0, 3, 1, 2)), bias, i)
        node("Conv", [x, number, shift], f"conv{i}", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
        x = rounded(node("Relu", [f"conv{i}"], f"relu{i}"), i + 1)
    layer = len(network.convolutions) + 1
    node("GlobalAveragePool", [x], "pooled")
    dims = [batch if not is_int8 else 1, len(network.convolutions[-1][1])]
    if is_int8:
        node("Flatten", ["pooled"], "flat")
        node("Identity", [rounded("flat", layer)], "features")
    else:
        node("Flatten", ["pooled"], "features")
    taken = [helper.make_tensor_value_info("features", TensorProto.FLOAT, dims)]
    if network.dense is not None:
        weights, bias = network.dense
        number, shift = parameters("dense", weights, bias, layer)
        node("Gemm", ["features", number, shift], "sums" if is_int8 else "logits", transB=1)
        if is_int8:
            node("Identity", [rounded("sums", layer + 1)], "logits")
        node("Softmax", ["logits"], "probabilities", axis=1)
        shape = [dims[0], len(bias)]
        taken = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape), *taken,
                 helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "main", [given], taken, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="tinylcm")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def main():
    out = pathlib.Path(sys.argv[1])
    network = Network(channels=3, filters=[16, 32], classes=10, seed=1)
    gray = Network(channels=1, filters=[8], classes=0, seed=2)
    (out / "float.tflite").write_bytes(write_tflite(network, 3, open_batch=True))
    (out / "float.onnx").write_bytes(write_onnx(network, 3))
    (out / "int8.tflite").write_bytes(write_tflite(network, 3, is_int8=True))
    (out / "int8.onnx").write_bytes(write_onnx(network, 3, is_int8=True))
    (out / "gray.tflite").write_bytes(write_tflite(gray, 1))
    (out / "gray.onnx").write_bytes(write_onnx(gray, 1, batch=1))


if __name__ == "__main__":
    main()
