// Signature: what a model takes and gives, read out of a .tflite or .onnx file.
//
// Not a model parser: it walks from the file's root to the shapes of the inputs and outputs and
// looks at nothing else. Every offset is checked before it is followed; what does not add up is
// kCorrupt. Needs no runtime: the server links nothing of the device.
//
// Source: FlatBuffers' internals page and tflite's schema.fbs (version 3); onnx.proto (IR 3 and
// later) and the Protocol Buffers encoding page.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace tinysphere::mlflow {

struct TensorSpec {
  std::string name;
  std::string dtype;                // numpy's name: "uint8", "float32"
  std::vector<std::int64_t> shape;  // -1: any.

  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;

  friend bool operator==(const Signature&, const Signature&) = default;
};

base::Result<Signature> ReadTfliteSignature(base::ByteView model);
base::Result<Signature> ReadOnnxSignature(base::ByteView model);

}  // namespace tinysphere::mlflow
