// What the pictures of a scan need beyond its numbers: the first tokens of a sequence with the
// values of a few dimensions at every layer, and the texts that findings are looked up in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/observe/window.h"
#include "massact/run/finding.h"

namespace massact {

struct WindowDimension {
  std::int64_t dimension = 0;
  bool has_finding = false;  ///< a finding of the scan sits there; else shown for comparison
};

struct WindowLayer {
  int layer = 0;              ///< as users count; 0: the embedding
  std::vector<float> values;  ///< signed, row-major [positions, dimensions]
};

/// The tokens of one sequence, from its start.
struct SequenceText {
  std::int64_t sequence = 0;
  std::vector<std::string> tokens;
};

struct ScanWindow {
  std::int64_t sequence = 0;
  std::vector<std::string> tokens;          ///< [positions]
  std::vector<std::string> classes;         ///< [positions] as in Finding
  std::vector<WindowDimension> dimensions;  ///< by number
  std::vector<WindowLayer> layers;          ///< ascending
  std::vector<SequenceText> texts;
};

struct ScanWindowOptions {
  std::size_t dimensions = 24;  ///< how many are shown
  std::int64_t texts = 8;       ///< sequences with their text
  std::int64_t text_tokens = 256;
};

/// Chooses the dimensions (those of `findings` first, then the window's largest, then some spread
/// evenly over the width) and takes their values. `lengths`: positions of every sequence.
ScanWindow make_window(const observe::Window& window, const FindingSet& findings,
                       const std::vector<std::int64_t>& lengths, const PositionLabels& labels,
                       const ScanWindowOptions& options = {});

}  // namespace massact
