#include "massact/cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "massact/base/units.h"

namespace massact {
namespace {

constexpr double kSecondsBetweenDraws = 0.1;
constexpr int kLeastBar = 8;
constexpr int kWidestBar = 40;

// "1,200 tokens/s", or "3.1 tokens/s" where the rate is small.
std::string rate(const ProgressState& state) {
  const double per_second = static_cast<double>(state.done) / state.seconds;
  const std::string number = per_second < 10 ? fmt::format("{:.1f}", per_second)
                                             : format_count(static_cast<std::uint64_t>(per_second));
  return fmt::format("  {} {}/s", number, state.unit);
}

}  // namespace

std::string progress_line(const ProgressState& state, const TextStyle& style) {
  const bool known = state.total > 0;
  const double fraction =
      known ? std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total)) : 0;
  std::string tail = known ? fmt::format("  {:3.0f} %", std::floor(fraction * 100))
                           : fmt::format("  {} {}", format_count(state.done), state.unit);
  // A rate over the first moments says nothing.
  if (state.done > 0 && state.seconds > 0.2) {
    tail += rate(state);
    if (known && fraction < 1) {
      tail += fmt::format("  {} left", format_seconds(state.seconds * (1 - fraction) / fraction));
    }
  }
  if (!state.detail.empty()) tail += "  " + state.detail;

  const int room = style.width - 1 - display_width(state.phase) - 4 - display_width(tail);
  std::string line = state.phase;
  if (known && room >= kLeastBar) {
    const int columns = std::min(room, kWidestBar);
    line += "  [" + pad_right(bar(fraction, columns, style), columns) + "]";
  }
  return shorten(line + tail, style.width - 1, style);
}

void ProgressBar::begin(std::string_view phase, std::uint64_t total, std::string_view unit) {
  state_ = {std::string(phase), std::string(unit), "", 0, total, 0};
  since_begin_.restart();
  draw();
}

void ProgressBar::update(std::uint64_t done, std::string_view detail) {
  state_.done = done;
  state_.detail = detail;
  if (since_begin_.seconds() - last_drawn_ >= kSecondsBetweenDraws) draw();
}

void ProgressBar::end() { erase(); }

void ProgressBar::draw() {
  last_drawn_ = state_.seconds = since_begin_.seconds();
  // Back to the first column, the line, and whatever the last one left behind it cleared.
  fmt::print(stderr, "\r{}\033[K", progress_line(state_, style_));
  std::fflush(stderr);
  visible_ = true;
}

void ProgressBar::erase() {
  if (!visible_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  visible_ = false;
}

}  // namespace massact
