// Framer: cuts a stream of bytes into frames. Sans-io: bytes in, frames out, however they are torn.
//
//   framer.Take(bytes);
//   while (auto frame = framer.Next()) { ... }
//
// Kinds: MJPEG (concatenated JPEGs), raw pictures of one size, CSV with a header, JSONL.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/source/frame.h"

namespace tinylcm::source {

// Not thread-safe. Given its frames back, it allocates nothing once warm (JSONL does: its parser
// builds a tree).
class Framer {
 public:
  virtual ~Framer() = default;
  virtual void Take(base::ByteView bytes) = 0;
  // The stream has ended; what is left becomes a last frame or an error.
  virtual void End() = 0;
  // A new stream begins (the command was started again).
  virtual void Restart() = 0;
  // The next whole frame (without index and time), an Error for a bad one, or nullopt: more bytes
  // are needed.
  virtual std::optional<base::Result<Frame>> Next() = 0;

  // A frame that is no longer needed; its memory serves one to come.
  void Recycle(Frame&& frame);

 protected:
  Framer();
  // An empty frame.
  Frame Blank();

 private:
  std::vector<Frame> spares_;  // At most kSparesMax.
};

// Splits concatenated JPEGs. It walks the markers (so that a thumbnail inside a header does not end
// the frame) and the entropy-coded data up to EOI. Bytes between frames are skipped; a frame that
// runs into the next one's start, is larger than the limit, or has torn headers is an error, and
// the search goes on behind its first two bytes, or behind what was looked at of a large one. Cost: each byte is looked at once, twice after an
// error. A stream that ends without one frame is an error too, as it is with every framer.
class MjpegSplitter final : public Framer {
 public:
  struct Options {
    std::size_t frame_bytes_max = 4u << 20;
    std::string name = "mjpeg";  // For errors.
  };
  explicit MjpegSplitter(const Options& options) : options_(options) {}
  MjpegSplitter() : MjpegSplitter(Options{}) {}

  void Take(base::ByteView bytes) override;
  void End() override;
  void Restart() override;
  std::optional<base::Result<Frame>> Next() override;

  std::uint64_t garbage_bytes() const { return garbage_; }  // Skipped between frames.

 private:
  enum class State { kSeek, kMarker, kSegment, kScan };

  void Drop(std::size_t count);
  base::Error Fail(const std::string& reason, std::size_t drop);

  Options options_;
  base::Bytes buffer_;        // From the current frame's first byte on.
  std::size_t position_ = 0;  // How far in buffer_ has been looked at.
  State state_ = State::kSeek;
  bool ended_ = false;
  bool gave_any_ = false;  // A frame or an error.
  std::uint64_t garbage_ = 0;
};

// Cuts a stream of raw pictures, all of one format and size, as cameras and ffmpeg's rawvideo write
// them. Nothing marks where one begins: the first byte of the stream does.
class RawFramer final : public Framer {
 public:
  struct Options {
    PictureFormat format = PictureFormat::kRgb24;  // Not kCompressed.
    int width = 0;
    int height = 0;
    std::string name = "raw frames";  // For errors.
  };
  // kInvalidArgument where the size is missing or too large.
  static base::Result<std::unique_ptr<RawFramer>> Create(const Options& options);

  void Take(base::ByteView bytes) override;
  void End() override;
  void Restart() override;
  std::optional<base::Result<Frame>> Next() override;

 private:
  RawFramer(const Options& options, std::size_t frame_bytes);

  Options options_;
  std::size_t frame_bytes_;
  std::vector<Frame> whole_;  // From next_ on.
  std::size_t next_ = 0;
  Frame partial_;
  bool ended_ = false;
  bool gave_any_ = false;
};

struct RowOptions {
  std::string name = "stdin";          // For errors: "rows.csv:12: ch7: not a number".
  std::vector<std::string> columns{};  // The channels, in order; empty: all but the two below.
  std::string label_column{};          // Empty: none.
  std::string number_column =
      "seq";  // The sender's count, used where the header has it; not a channel.
  std::size_t line_bytes_max = 1u << 20;
  std::size_t channels = 0;  // How many there must be; 0: as many as the header says.
};

// CSV: a header line, then one row a line; comma separated, quotes as in RFC 4180 (without line
// breaks inside). A row with NaN, infinity, an empty field or a wrong count is an error that names
// file, line and field. A header that lacks an asked-for column is an error at every Next.
class CsvFramer final : public Framer {
 public:
  explicit CsvFramer(RowOptions options);
  ~CsvFramer() override;
  void Take(base::ByteView bytes) override;
  void End() override;
  void Restart() override;
  std::optional<base::Result<Frame>> Next() override;

  // The channels' names once the header was read.
  const std::vector<std::string>& channels() const { return channels_; }

 private:
  std::optional<base::Error> ReadHeader(std::string_view line);
  base::Result<Frame> ReadRow(std::string_view line);
  bool SplitFields(std::string_view line);
  base::Error At(std::string_view field, const std::string& reason) const;

  RowOptions options_;
  base::Bytes buffer_;
  std::size_t begin_ = 0;
  std::uint64_t line_ = 0;
  bool ended_ = false;
  bool skipping_ = false;  // Inside a line that was too long.
  std::optional<base::Error> header_error_;
  bool have_header_ = false;
  bool gave_any_ = false;
  std::size_t field_count_ = 0;
  std::vector<std::string_view> fields_;  // Of the last line split; into it and into unquoted_.
  std::string unquoted_;
  std::vector<std::string> channels_;
  std::vector<std::size_t> columns_;
  std::optional<std::size_t> label_;
  std::optional<std::size_t> number_;
};

// JSONL: {"row": [..], "seq": 7, "label": "3"} or a bare array a line. `columns` is ignored.
class JsonlFramer final : public Framer {
 public:
  explicit JsonlFramer(RowOptions options);
  ~JsonlFramer() override;
  void Take(base::ByteView bytes) override;
  void End() override;
  void Restart() override;
  std::optional<base::Result<Frame>> Next() override;

 private:
  base::Result<Frame> ReadRow(std::string_view line);

  RowOptions options_;
  base::Bytes buffer_;
  std::size_t begin_ = 0;
  std::uint64_t line_ = 0;
  bool ended_ = false;
  bool skipping_ = false;
  bool gave_any_ = false;
  std::size_t channels_ = 0;
};

}  // namespace tinylcm::source
