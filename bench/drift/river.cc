#include "bench/drift/river.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "base/check.h"
#include "base/text.h"

namespace bench::drift {

namespace {

// What the command says, a line each.
std::optional<std::vector<std::string>> Ask(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string said;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    said.append(buffer, got);
  }
  if (pclose(pipe) != 0) {
    std::fprintf(stderr, "drift_quality: failed: %s\n", command.c_str());
    return std::nullopt;
  }
  std::vector<std::string> lines;
  std::istringstream text(said);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

}  // namespace

std::optional<std::vector<std::vector<std::uint64_t>>> RiverAdwinAlarms(
    const Settings& settings, const std::vector<std::vector<double>>& streams) {
  if (settings.river.empty()) return std::nullopt;
  char path[] = "/tmp/drift_quality.XXXXXX";
  const int descriptor = mkstemp(path);
  CHECK(descriptor >= 0);
  std::FILE* file = fdopen(descriptor, "wb");
  CHECK(file != nullptr);
  for (const std::vector<double>& stream : streams) {
    const auto length = static_cast<double>(stream.size());
    CHECK(std::fwrite(&length, sizeof length, 1, file) == 1);
    CHECK(std::fwrite(stream.data(), sizeof(double), stream.size(), file) == stream.size());
  }
  CHECK(std::fclose(file) == 0);
  const auto lines = Ask(base::StrCat(settings.river, " alarms ", path));
  unlink(path);
  if (!lines) return std::nullopt;
  CHECK(lines->size() == streams.size());
  std::vector<std::vector<std::uint64_t>> alarms;
  for (const std::string& line : *lines) {
    std::istringstream words(line);
    std::vector<std::uint64_t> indices;
    for (std::uint64_t index = 0; words >> index;) indices.push_back(index);
    alarms.push_back(std::move(indices));
  }
  return alarms;
}

std::map<std::string, double> RiverNanoseconds(const Settings& settings) {
  std::map<std::string, double> nanoseconds;
  if (settings.river.empty()) return nanoseconds;
  for (const std::string& line : Ask(settings.river + " ns").value_or(std::vector<std::string>{})) {
    std::istringstream words(line);
    std::string name;
    double value = 0.0;
    if (words >> name >> value) nanoseconds[name] = value;
  }
  return nanoseconds;
}

}  // namespace bench::drift
