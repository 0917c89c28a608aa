#include "agent/source_of.h"

#include "tinylcm/source/folder_source.h"
#include "tinylcm/source/stream_source.h"

namespace agent {

namespace source = tinylcm::source;

using base::Result;

Result<std::unique_ptr<source::Source>> OpenSourceOf(const Config& config, base::FileSystem& fs,
                                                     base::Clock& clock, base::Logger& logger) {
  const SourceConfig& given = config.source;
  if (given.kind == "images" && given.watch) {
    ASSIGN_OR_RETURN(std::unique_ptr<source::WatchedFolder> folder,
                     source::WatchedFolder::Open(fs, clock, logger, given.path));
    return std::unique_ptr<source::Source>(std::move(folder));
  }
  if (given.kind == "images") {
    ASSIGN_OR_RETURN(std::unique_ptr<source::FolderSource> folder,
                     source::FolderSource::Open(fs, clock, given.path));
    return std::unique_ptr<source::Source>(std::move(folder));
  }
  source::StreamOptions stream;
  if (given.kind == "camera") {
    ASSIGN_OR_RETURN(stream.format, source::ParsePictureFormat(given.format));
    stream.kind = stream.format == source::PictureFormat::kCompressed
                      ? source::StreamOptions::Kind::kMjpeg
                      : source::StreamOptions::Kind::kRaw;
    stream.width = static_cast<int>(given.width);
    stream.height = static_cast<int>(given.height);
    stream.stall_timeout = given.stall_timeout;
  } else {
    stream.kind = given.kind == "rows" ? source::StreamOptions::Kind::kCsv
                                       : source::StreamOptions::Kind::kJsonl;
  }
  stream.command = given.command;
  stream.path = given.path;
  stream.rows.name = given.path.empty() ? "source" : given.path;
  stream.rows.number_column = given.frame_column;
  stream.rows.label_column = given.label_column;
  ASSIGN_OR_RETURN(std::unique_ptr<source::StreamSource> opened,
                   source::OpenStream(stream, clock, logger));
  return std::unique_ptr<source::Source>(std::move(opened));
}

}  // namespace agent
