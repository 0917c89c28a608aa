#include "bench/adapt/report.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>

#include "base/check.h"
#include "base/text.h"

namespace bench::adapt {

namespace {

Summary Over(const std::vector<Outcome>& outcomes,
             const std::function<double(const Outcome&)>& value) {
  CHECK(!outcomes.empty());
  Summary summary{.mean = 0.0, .worst = 1e9};
  for (const Outcome& outcome : outcomes) {
    summary.mean += value(outcome) / static_cast<double>(outcomes.size());
    summary.worst = std::min(summary.worst, value(outcome));
  }
  return summary;
}

std::string Both(const Summary& summary) {
  char text[48];
  std::snprintf(text, sizeof text, "%.3f/%.3f", summary.mean, summary.worst);
  return text;
}

std::string Percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", 100.0 * share);
  return text;
}

}  // namespace

Summary Of(const std::vector<Outcome>& outcomes, double Outcome::* value) {
  return Over(outcomes, [&](const Outcome& outcome) { return outcome.*value; });
}

Summary ShareOf(const std::vector<Outcome>& outcomes, double Outcome::* value) {
  return Over(outcomes, [&](const Outcome& outcome) { return outcome.*value / outcome.before; });
}

Summary ChangeOf(const std::vector<Outcome>& outcomes, double Outcome::* value) {
  return Over(outcomes, [&](const Outcome& outcome) { return outcome.*value - outcome.nothing; });
}

double Harmed(const std::vector<Outcome>& outcomes, double Outcome::* value) {
  return Over(outcomes,
              [&](const Outcome& outcome) {
                return outcome.*value < outcome.nothing - 0.01 ? 1.0 : 0.0;
              })
      .mean;
}

std::string Counted(const std::vector<Outcome>& outcomes, std::string Outcome::* value) {
  std::map<std::string, int> counts;
  for (const Outcome& outcome : outcomes) ++counts[outcome.*value];
  std::vector<std::pair<int, std::string>> order;
  for (const auto& [name, count] : counts) order.emplace_back(-count, name);
  std::sort(order.begin(), order.end());
  std::string text;
  for (const auto& [count, name] : order) {
    text += base::StrCat(text.empty() ? "" : ", ", name, " x", -count);
  }
  return text;
}

void StreamTable::Add(const std::string& stream, std::uint32_t labels,
                      const std::vector<Outcome>& outcomes) {
  const auto both = [&](double Outcome::* value) { return Both(Of(outcomes, value)); };
  lines_ += base::StrCat(
      "| ", stream, " | ", labels, " | ", both(&Outcome::before), " | ", both(&Outcome::nothing),
      " | ", both(&Outcome::blind), " | ", both(&Outcome::self_trained), " | ",
      both(&Outcome::unlabelled), " | ", both(&Outcome::after), " | ",
      Both(ShareOf(outcomes, labels == 0 ? &Outcome::unlabelled : &Outcome::after)), " | ",
      Percent(Harmed(outcomes, labels == 0 ? &Outcome::unlabelled : &Outcome::after)), " | ",
      Counted(outcomes, &Outcome::input), "; ", Counted(outcomes, &Outcome::challenger), "; ",
      Counted(outcomes, &Outcome::state), " |\n");
}

std::string StreamTable::Text() const {
  return "| stream (mean/worst) | labels | before | nothing done | blind alignment | self-training "
         "| the device alone | after labels | share of before | > 1 point worse | served |\n"
         "|---|---|---|---|---|---|---|---|---|---|---|\n" +
         lines_;
}

}  // namespace bench::adapt
