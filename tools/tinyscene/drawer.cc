#include "tools/tinyscene/drawer.h"

#include "tools/tinyscene/camera.h"
#include "tools/tinyscene/platform/turbojpeg/jpeg_encoder.h"
#include "tools/tinyscene/sensor_array.h"

namespace tinyscene {
namespace {

constexpr int kJpegQuality = 85;

class CameraDrawer final : public Drawer {
 public:
  CameraDrawer(std::uint64_t seed, const Digits& digits) : digits_(digits), camera_(seed) {}

  std::string Prologue() const override { return ""; }

  base::Result<base::ByteView> Draw(const Shot& shot) override {
    return encoder_.Encode(camera_.Take(shot.number, digits_.digit(shot.digit), shot.drifts),
                           kFrameWidth, kFrameHeight, kJpegQuality);
  }

 private:
  const Digits& digits_;
  Camera camera_;
  JpegEncoder encoder_;
};

class RowDrawer final : public Drawer {
 public:
  RowDrawer(std::uint64_t seed, const Digits& digits) : digits_(digits), seed_(seed) {}

  std::string Prologue() const override { return RowHeader(); }

  base::Result<base::ByteView> Draw(const Shot& shot) override {
    line_ =
        RowLine(shot.number, ReadArray(seed_, shot.number, digits_.digit(shot.digit), shot.drifts));
    return base::AsBytes(line_);
  }

 private:
  const Digits& digits_;
  std::uint64_t seed_;
  std::string line_;
};

}  // namespace

std::unique_ptr<Drawer> MakeDrawer(Kind kind, std::uint64_t seed, const Digits& digits) {
  if (kind == Kind::kCamera) return std::make_unique<CameraDrawer>(seed, digits);
  return std::make_unique<RowDrawer>(seed, digits);
}

}  // namespace tinyscene
