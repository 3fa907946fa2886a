// The largest entry of a site, for super weights (github.com/mengxiayu/LLMSuperWeight).
#pragma once

#include <cstdint>
#include <map>

#include "massact/run/observer.h"

namespace massact::observe {

/// A site's value with the largest magnitude; ties: the first sequence, position, column.
struct Extreme {
  float value = 0.0f;
  std::int64_t sequence = -1;  ///< -1: nothing but zeros
  std::int64_t position = 0;
  std::int64_t column = 0;
};

class Extremes final : public Observer {
 public:
  void observe(const SiteView& view, Threads& threads) override;
  const std::map<Site, Extreme>& by_site() const { return by_site_; }

 private:
  std::map<Site, Extreme> by_site_;
};

}  // namespace massact::observe
