// Measures the automatic rule on made-up hidden states: how often it finds something where nothing
// was planted, and how often it finds what was. Prints the tables of docs/rules.md.
//   rule_study null|planted SCANS [BACKGROUND]
#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "unit/observe/backgrounds.h"

namespace massact::observe {
namespace {

using massact::testing::Background;

struct Count {
  int scans = 0, massive = 0, large = 0;
};

// One scan is `layers` independent hidden states of every one of `sequences`.
constexpr int kLayers = 4;

Count count(const Background& background, std::int64_t rows, std::int64_t cols, int sequences,
            int scans, Threads& threads) {
  Count result;
  for (int scan = 0; scan < scans; ++scan) {
    const FindingSet set = massact::testing::scan_background(
        background, {.rows = rows, .cols = cols, .layers = kLayers, .sequences = sequences},
        static_cast<std::uint64_t>(scan), threads);
    ++result.scans;
    result.massive += set.has_massive() ? 1 : 0;
    result.large += !set.findings.empty() && !set.has_massive() ? 1 : 0;
  }
  return result;
}

// Backgrounds whose names contain `name`.
std::vector<Background> chosen(const std::string& name) {
  std::vector<Background> result;
  for (const auto& b : massact::testing::backgrounds()) {
    if (b.name.find(name) != std::string::npos) result.push_back(b);
  }
  return result;
}

void print_null_table(int scans, const std::string& name, Threads& threads) {
  struct Shape {
    std::int64_t rows, cols;
    int sequences;
  };
  const std::vector<Shape> shapes = {{64, 32, 8}, {256, 64, 8}, {128, 768, 4}, {32, 4096, 1}};
  fmt::print("Scans of {} layers with a massive finding / with only large ones, of {}:\n\n|  |",
             kLayers, scans);
  for (const auto& s : shapes) fmt::print(" {} x [{}x{}] |", s.sequences, s.rows, s.cols);
  fmt::print("\n|---|---|---|---|---|\n");
  for (const Background& background : chosen(name)) {
    fmt::print("| {} |", background.name);
    for (const auto& s : shapes) {
      const Count c = count(background, s.rows, s.cols, s.sequences, scans, threads);
      fmt::print(" {} / {} |", c.massive, c.large);
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
}

void print_planted_table(int scans, const std::string& name, Threads& threads) {
  const std::vector<double> sizes = {12, 20, 30, 50, 100, 1000};
  fmt::print(
      "Scans of one layer, [128x768], that find both of two planted scalars (as massive / as "
      "large), of {}:\n\n| size in medians | sequences |",
      scans);
  for (const double size : sizes) fmt::print(" {} |", size);
  fmt::print("\n|---|---|---|---|---|---|---|---|\n");
  for (Background background : chosen(name)) {
    for (const int sequences : {1, 4}) {
      fmt::print("| {} | {} |", background.name, sequences);
      for (const double size : sizes) {
        background.planted_ratio = size;
        int massive = 0, large = 0;
        for (int scan = 0; scan < scans; ++scan) {
          const FindingSet set = massact::testing::scan_background(
              background, {.rows = 128, .cols = 768, .layers = 1, .sequences = sequences},
              static_cast<std::uint64_t>(scan), threads);
          massive += massact::testing::finds_planted(set, Label::massive) ? 1 : 0;
          large += massact::testing::finds_planted(set, Label::large) ? 1 : 0;
        }
        fmt::print(" {} / {} |", massive, large);
      }
      fmt::print("\n");
      std::fflush(stdout);
    }
  }
}

}  // namespace
}  // namespace massact::observe

int main(int argc, char** argv) {
  const std::string table = argc > 1 ? argv[1] : "";
  const int scans = argc > 2 ? std::atoi(argv[2]) : 0;
  const std::string name = argc > 3 ? argv[3] : "";
  massact::Threads threads(1);
  if (table == "null" && scans > 0) {
    massact::observe::print_null_table(scans, name, threads);
  } else if (table == "planted" && scans > 0) {
    massact::observe::print_planted_table(scans, name, threads);
  } else {
    fmt::print(stderr, "usage: rule_study null|planted SCANS [BACKGROUND]\n");
    return 2;
  }
  return 0;
}
