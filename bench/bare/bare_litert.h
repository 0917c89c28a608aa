// BareLiteRt: a model behind LiteRT's C interface and nothing else: what somebody would write who
// only wants to run it. The frame path, the start and the memory of the agent are compared with it.
//
// Any failure ends the program: nothing here is to be learned from.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tinylcm/src/platform/litert/litert_c.h"

namespace bench {

// One input of 8 bits and one output. One thread, XNNPACK, as the agent runs it.
class BareLiteRt {
 public:
  // `library`: libLiteRt.so. `model`: the file.
  BareLiteRt(const std::string& library, const std::string& model);
  BareLiteRt(const BareLiteRt&) = delete;
  BareLiteRt& operator=(const BareLiteRt&) = delete;

  std::size_t picture_bytes() const { return picture_bytes_; }
  // The output's bytes as the model gives them; valid until the next call.
  std::span<const std::uint8_t> Run(std::span<const std::uint8_t> picture);

 private:
  tinylcm::model::litert::Functions f_{};
  std::vector<std::uint8_t> bytes_;  // LiteRT reads the model from here for as long as it lives.
  tinylcm::model::litert::CompiledModel compiled_ = nullptr;
  tinylcm::model::litert::TensorBuffer input_ = nullptr;
  tinylcm::model::litert::TensorBuffer output_ = nullptr;
  std::size_t picture_bytes_ = 0;
  std::vector<std::uint8_t> scores_;
};

}  // namespace bench
