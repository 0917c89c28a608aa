#include "tinysphere/platform/prometheus/prometheus_telemetry.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace tinysphere::prometheus {

namespace {

using telemetry::Bounds;
using telemetry::Labels;

class Counter final : public telemetry::Counter {
 public:
  explicit Counter(::prometheus::Counter& counter) : counter_(counter) {}
  void Add(double amount) override { counter_.Increment(amount); }

 private:
  ::prometheus::Counter& counter_;
};

class Gauge final : public telemetry::Gauge {
 public:
  explicit Gauge(::prometheus::Gauge& gauge) : gauge_(gauge) {}
  void Set(double value) override { gauge_.Set(value); }
  void Add(double amount) override { gauge_.Increment(amount); }

 private:
  ::prometheus::Gauge& gauge_;
};

class Histogram final : public telemetry::Histogram {
 public:
  explicit Histogram(::prometheus::Histogram& histogram) : histogram_(histogram) {}
  void Observe(double value) override { histogram_.Observe(value); }

 private:
  ::prometheus::Histogram& histogram_;
};

class PrometheusTelemetry final : public telemetry::Telemetry {
 public:
  telemetry::Counter& MakeCounter(std::string_view name, std::string_view help,
                                  const Labels& labels) override {
    return Make<Counter>(counters_, name, labels, [&]() -> ::prometheus::Counter& {
      return ::prometheus::BuildCounter()
          .Name(std::string(name))
          .Help(std::string(help))
          .Register(registry_)
          .Add(labels);
    });
  }

  telemetry::Gauge& MakeGauge(std::string_view name, std::string_view help,
                              const Labels& labels) override {
    return Make<Gauge>(gauges_, name, labels, [&]() -> ::prometheus::Gauge& {
      return ::prometheus::BuildGauge()
          .Name(std::string(name))
          .Help(std::string(help))
          .Register(registry_)
          .Add(labels);
    });
  }

  telemetry::Histogram& MakeHistogram(std::string_view name, std::string_view help,
                                      const Labels& labels, const Bounds& bounds) override {
    return Make<Histogram>(histograms_, name, labels, [&]() -> ::prometheus::Histogram& {
      return ::prometheus::BuildHistogram()
          .Name(std::string(name))
          .Help(std::string(help))
          .Register(registry_)
          .Add(labels, bounds);
    });
  }

  void BeforeReading(std::function<void()> look) override {
    const std::lock_guard lock(looks_mutex_);
    looks_.push_back(std::move(look));
  }

  std::string Read() override {
    const std::lock_guard lock(looks_mutex_);
    for (const auto& look : looks_) look();
    return ::prometheus::TextSerializer().Serialize(registry_.Collect());
  }

 private:
  template <typename Handle>
  using Handles = std::map<std::pair<std::string, Labels>, std::unique_ptr<Handle>>;

  template <typename Handle, typename Add>
  Handle& Make(Handles<Handle>& handles, std::string_view name, const Labels& labels, Add add) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Handle>& handle = handles[{std::string(name), labels}];
    if (handle) return *handle;
    try {
      handle = std::make_unique<Handle>(add());
    } catch (const std::exception&) {
      // A name that Prometheus does not know, or one name for two kinds: a bug in the program.
      CHECK(false);
    }
    return *handle;
  }

  ::prometheus::Registry registry_;
  std::mutex mutex_;
  Handles<Counter> counters_;
  Handles<Gauge> gauges_;
  Handles<Histogram> histograms_;
  std::mutex looks_mutex_;
  std::vector<std::function<void()>> looks_;
};

}  // namespace

std::unique_ptr<telemetry::Telemetry> MakeTelemetry() {
  return std::make_unique<PrometheusTelemetry>();
}

}  // namespace tinysphere::prometheus
