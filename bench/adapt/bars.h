// The bars of adaptation, each measured by one function; main.cc lists them.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/adapt/report.h"
#include "bench/adapt/streams.h"
#include "bench/drift/table.h"

namespace bench::adapt {

struct Settings {
  std::uint64_t first_seed = 1;
  std::uint64_t last_seed = 20;
  std::size_t threads = 2;
  std::string data;           // TINYMLOPS_DATA; empty: what needs it is left out.
  std::string stream;         // Only streams whose name starts so.
  std::uint32_t labels = 24;  // Asked for, where a bar does not say otherwise.
  bool each = false;          // Every run in a line on stderr.

  std::size_t seeds() const { return static_cast<std::size_t>(last_seed - first_seed + 1); }
};

struct Report {
  bench::drift::Table figures{"adapt_quality."};
  StreamTable streams;
};

void NoHarm(const Settings& settings, Report& report);            // A1
void Escalates(const Settings& settings, Report& report);         // A2
void InputPutRight(const Settings& settings, Report& report);     // A3, camera
void RowsBroughtBack(const Settings& settings, Report& report);   // A3, rows
void GasBroughtBack(const Settings& settings, Report& report);    // A4
void PoisonFound(const Settings& settings, Report& report);       // A5
void ConceptsMetAgain(const Settings& settings, Report& report);  // A6
void UnseenClass(const Settings& settings, Report& report);       // A7
void OtherStreams(const Settings& settings, Report& report);      // X: no bar, only reported.

// Runs a stream with every seed; nothing where its data are missing (which is reported) or
// `settings.stream` does not ask for it.
std::vector<Outcome> RunAll(const Stream& stream, const std::string& bar, std::uint32_t labels,
                            const Settings& settings, Report& report);

// The stream of that name. REQUIRES: there is one.
const Stream& Find(const std::vector<Stream>& streams, const std::string& name);

// What the strengths in streams.h were found by.
void Calibrate(const Settings& settings);

}  // namespace bench::adapt
