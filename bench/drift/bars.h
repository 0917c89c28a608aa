// The bars, each measured by one function; main.cc lists them.

#pragma once

#include "bench/drift/table.h"

namespace bench::drift {

void RunLengthIid(const Settings& settings, Table& table);           // C1
void RunLengthInBlocks(const Settings& settings, Table& table);      // C2
void RunLengthCorrelated(const Settings& settings, Table& table);    // C3
void RunLengthFused(const Settings& settings, Table& table);         // C4
void Delay(const Settings& settings, Table& table);                  // D1
void GasBatches(const Settings& settings, Table& table);           // D2
void CameraDigits(const Settings& settings, Table& table);         // D3
void FalseAlarmsLong(const Settings& settings, Table& table);        // D4
void BesideRiver(const Settings& settings, Table& table);            // D5
void Nanoseconds(const Settings& settings, Table& table);            // P1
void Explained(const Settings& settings, Table& table);              // E1
void AccuracyWithoutLabels(const Settings& settings, Table& table);  // A

}  // namespace bench::drift
