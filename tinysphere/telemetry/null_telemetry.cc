#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::telemetry {
namespace {

class NullCounter final : public Counter {
 public:
  void Add(double) override {}
};

class NullGauge final : public Gauge {
 public:
  void Set(double) override {}
  void Add(double) override {}
};

class NullHistogram final : public Histogram {
 public:
  void Observe(double) override {}
};

class Null final : public Telemetry {
 public:
  Counter& MakeCounter(std::string_view, std::string_view, const Labels&) override {
    return counter_;
  }
  Gauge& MakeGauge(std::string_view, std::string_view, const Labels&) override { return gauge_; }
  Histogram& MakeHistogram(std::string_view, std::string_view, const Labels&,
                           const Bounds&) override {
    return histogram_;
  }
  void BeforeReading(std::function<void()>) override {}
  std::string Read() override { return ""; }

 private:
  NullCounter counter_;
  NullGauge gauge_;
  NullHistogram histogram_;
};

}  // namespace

Bounds SecondsBounds() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}

Bounds CountBounds() { return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}; }

Telemetry& NullTelemetry() {
  static Null telemetry;
  return telemetry;
}

}  // namespace tinysphere::telemetry
