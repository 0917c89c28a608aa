// Scaling by libyuv. Its scaler knows four bytes a pixel: what it calls ARGB is blue, green, red,
// alpha in memory, and "RAW" is its name for red, green, blue.

#include <libyuv.h>

#include "base/check.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

namespace {

std::size_t Count(int columns, int rows) {
  return static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);
}

void CheckInside(const Box& box, int width, int height, const RgbTarget& to) {
  CHECK(box.x >= 0 && box.y >= 0 && box.width > 0 && box.height > 0);
  CHECK(box.x + box.width <= width && box.y + box.height <= height);
  CHECK(to.width > 0 && to.height > 0 && to.row_bytes >= 3 * to.width);
}

}  // namespace

void ScaleBox(const Pixels& from, const Box& box, Pixels& scratch, const RgbTarget& to) {
  CheckInside(box, from.width, from.height, to);
  const std::uint8_t* part = from.At(box.x, box.y);
  int part_row = 4 * from.width;
  if (box.width != to.width || box.height != to.height) {
    scratch.bgrx.resize(4 * Count(to.width, to.height));
    CHECK(libyuv::ARGBScale(part, part_row, box.width, box.height, scratch.bgrx.data(),
                            4 * to.width, to.width, to.height, libyuv::kFilterBox) == 0);
    part = scratch.bgrx.data();
    part_row = 4 * to.width;
  }
  CHECK(libyuv::ARGBToRAW(part, part_row, to.first, to.row_bytes, to.width, to.height) == 0);
}

void ScaleYuv(const PictureView& from, const Box& box, base::Bytes& scratch, const RgbTarget& to) {
  CheckInside(box, from.width, from.height, to);
  CHECK(box.x % 2 == 0 && box.y % 2 == 0);
  const int half_row = (from.width + 1) / 2;
  const std::uint8_t* u = from.bytes.data() + Count(from.width, from.height);
  const std::uint8_t* v = u + Count(half_row, (from.height + 1) / 2);
  const std::size_t half_begin = Count(box.y / 2, half_row) + Count(box.x / 2, 1);
  const std::uint8_t* y = from.bytes.data() + Count(box.y, from.width) + Count(box.x, 1);
  u += half_begin;
  v += half_begin;
  int y_row = from.width;
  int uv_row = half_row;
  if (box.width != to.width || box.height != to.height) {
    const int half_width = (to.width + 1) / 2;
    const std::size_t luma = Count(to.width, to.height);
    const std::size_t chroma = Count(half_width, (to.height + 1) / 2);
    scratch.resize(luma + 2 * chroma);
    std::uint8_t* planes = scratch.data();
    CHECK(libyuv::I420Scale(y, y_row, u, uv_row, v, uv_row, box.width, box.height, planes, to.width,
                            planes + luma, half_width, planes + luma + chroma, half_width, to.width,
                            to.height, libyuv::kFilterBox) == 0);
    y = planes;
    u = planes + luma;
    v = u + chroma;
    y_row = to.width;
    uv_row = half_width;
  }
  CHECK(libyuv::I420ToRAW(y, y_row, u, uv_row, v, uv_row, to.first, to.row_bytes, to.width,
                          to.height) == 0);
}

}  // namespace tinylcm::source
