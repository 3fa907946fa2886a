// The automatic rule's view of one hidden state: is there a gap in the tail of log|h|?
// docs/rules.md says why it is done this way and what was measured.
#pragma once

#include "massact/observe/magnitudes.h"

namespace massact::observe {

/// How often |h| is what one expects at this place: |h| / max(m, t, c, t c / m) with the medians m
/// of the hidden state, t of the token's other dimensions and c of the dimension's other tokens.
/// 0 if the hidden state's median is 0.
double excess(const Magnitude& magnitude, double median);

/// The most significant gap between the excesses of a hidden state's peaks (one per dimension).
struct TailGap {
  int beyond = 0;       ///< how many dimensions lie beyond the gap; 0: there are too few peaks
  double width = 1.0;   ///< smallest excess beyond the gap / largest below it, >= 1
  double middle = 0.0;  ///< geometric mean of these two: scalars above it are beyond the gap
  /// ln of the probability of such a gap anywhere in a tail that falls like any power law (or
  /// faster); at most 0.
  double log_p = 0.0;
};
TailGap find_gap(const SequenceMagnitudes& sequence);

}  // namespace massact::observe
