// TinyLCM in a program of your own: rows of a CSV go in, predictions and drifts are printed.
//   embed BUNDLE STATE_FOLDER ROWS.csv
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "protocol/drift_event.h"
#include "tinylcm/tinylcm.h"

namespace {

// "7,0.25,1.5" -> 0.25, 1.5: the first column is the sender's count. What is no number becomes NaN,
// and the device refuses the row and says why.
std::vector<float> Channels(const std::string& line) {
  std::istringstream fields(line);
  std::string field;
  std::getline(fields, field, ',');
  std::vector<float> channels;
  while (std::getline(fields, field, ',')) {
    char* end = nullptr;
    const float number = std::strtof(field.c_str(), &end);
    channels.push_back(field.empty() || *end != '\0' ? NAN : number);
  }
  return channels;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::cerr << "embed BUNDLE STATE_FOLDER ROWS.csv\n", 2;
  std::uint64_t row = 0;
  const auto predicted = [&row](const tinylcm::Answer& answer) {
    std::cout << row << ',' << answer.label << ',' << answer.confidence << '\n';
  };
  const auto drifted = [&row](const protocol::DriftEvent& event) {
    std::cout << "drift at row " << row << ": " << event.text << '\n';
  };
  auto device = tinylcm::Device::Open({.bundle = argv[1],
                                       .state = argv[2],
                                       .mode = tinylcm::adapt::Mode::kMonitoringOnly,
                                       .on_prediction = predicted,
                                       .on_drift = drifted});
  if (!device.ok()) return std::cerr << "embed: " << device.error().message << '\n', 1;

  std::ifstream rows(argv[3]);
  std::string line;
  std::getline(rows, line);  // The header.
  for (; std::getline(rows, line); ++row) {
    const auto answer = device->Process(Channels(line));
    if (!answer.ok()) std::cerr << "skipped: " << answer.error().message << '\n';
  }
  return rows.eof() ? 0 : 1;  // A file that cannot be read has no end.
}
