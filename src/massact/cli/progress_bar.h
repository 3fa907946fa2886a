// Progress on a terminal: phase, bar, rate, time left.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "massact/base/clock.h"
#include "massact/base/progress.h"
#include "massact/report/text_style.h"

namespace massact {

/// What one line of progress shows.
struct ProgressState {
  std::string phase;
  std::string unit;  ///< plural
  std::string detail;
  std::uint64_t done = 0;
  std::uint64_t total = 0;  ///< 0: unknown
  double seconds = 0;       ///< since the phase began
};

/// One line without a newline, at most the style's width:
/// `scan  [█████     ]  50 %  1,200 tokens/s  14s left  layer 3/6`.
std::string progress_line(const ProgressState& state, const TextStyle& style);

/// Draws on stderr, on one line that it rewrites and removes at the end of each phase.
/// Use it only if stderr is a terminal.
class ProgressBar final : public Progress {
 public:
  explicit ProgressBar(TextStyle style) : style_(style) {}
  ~ProgressBar() override { erase(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void begin(std::string_view phase, std::uint64_t total, std::string_view unit) override;
  void update(std::uint64_t done, std::string_view detail) override;
  void end() override;

 private:
  void draw();
  void erase();

  TextStyle style_;
  ProgressState state_;
  Stopwatch since_begin_;
  double last_drawn_ = 0;
  bool visible_ = false;
};

}  // namespace massact
