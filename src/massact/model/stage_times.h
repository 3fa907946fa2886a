// Where a run's time goes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "massact/base/clock.h"

namespace massact {

enum class Stage : std::uint8_t { matmul, attention, elementwise, observers };
inline constexpr int kStages = static_cast<int>(Stage::observers) + 1;

/// "matmul", "attention", "norm and element-wise", "observers".
constexpr std::string_view name_of(Stage stage) {
  constexpr std::array<std::string_view, kStages> kNames = {"matmul", "attention",
                                                            "norm and element-wise", "observers"};
  return kNames[static_cast<std::size_t>(stage)];
}

/// Wall-clock seconds by stage.
struct StageTimes {
  std::array<double, kStages> seconds{};

  double& operator[](Stage stage) { return seconds[static_cast<std::size_t>(stage)]; }
  double operator[](Stage stage) const { return seconds[static_cast<std::size_t>(stage)]; }

  /// Adds the time that `body` takes to a stage; gives what `body` returns.
  template <typename Body>
  decltype(auto) measure(Stage stage, const Body& body) {
    struct Add {
      double& total;
      Stopwatch watch;
      ~Add() { total += watch.seconds(); }
    } add{(*this)[stage], {}};
    return body();
  }
};

}  // namespace massact
