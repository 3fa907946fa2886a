// The largest entry of a site, for super weights (github.com/mengxiayu/LLMSuperWeight).
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "massact/run/observer.h"

namespace massact::observe {

/// A site's value with the largest magnitude; ties: the first sequence, position, column.
struct Extreme {
  float value = 0.0f;
  std::int64_t sequence = -1;  ///< -1: nothing but zeros
  std::int64_t position = 0;
  std::int64_t column = 0;
};

/// Of `ln2_post_normalized` what is kept is what the norm read, the down projection's output (RMS
/// norms: normalised times divisor); `ln2_post_scale` must be observed too.
class Extremes final : public Observer {
 public:
  void observe(const SiteView& view, Threads& threads) override;
  const std::map<Site, Extreme>& by_site() const { return by_site_; }

 private:
  std::map<Site, Extreme> by_site_;
  std::map<std::pair<int, std::int64_t>, std::vector<float>> divisors_;  // by block and sequence
};

}  // namespace massact::observe
