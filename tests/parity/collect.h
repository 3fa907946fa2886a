// Test helpers: keep everything a run shows, and read golden files.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "massact/io/safetensors.h"
#include "massact/run/executor.h"
#include "paths.h"

namespace massact::testing_support {

/// Values of sites by (sequence, site name), flattened in the order of the site table's shapes.
using SiteValues = std::map<std::pair<std::int64_t, std::string>, std::vector<float>>;

/// Keeps copies of all values it sees.
class Collect final : public Observer {
 public:
  void observe(const SiteView& view, Threads&) override {
    auto& values = (*values_)[{view.sequence, name_of(view.site)}];
    // Pieces come in order of head and position, so that appending gives the site's shape.
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      values.insert(values.end(), view.values.row(r), view.values.row(r) + view.values.cols);
    }
  }
  const SiteValues& values() const { return *values_; }

 private:
  std::shared_ptr<SiteValues> values_ = std::make_shared<SiteValues>();
};

/// Everything that `sites` show for these texts.
inline SiteValues collect(const Model& model, const std::vector<Plan::Tokens>& texts,
                          const std::vector<Site>& sites, const RunOptions& options = {}) {
  Plan plan(model, texts);
  auto& collected = plan.observe(sites, Collect{});
  NoProgress progress;
  run(plan, options, progress);
  return collected.values();
}

/// The inputs "seq0/tokens", "seq1/tokens", … of a golden sites file.
inline std::vector<Plan::Tokens> golden_tokens(const WeightSource& golden) {
  std::vector<Plan::Tokens> texts;
  for (int n = 0;; ++n) {
    const std::string name = "seq" + std::to_string(n) + "/tokens";
    if (golden.find(name) == nullptr) return texts;
    const TensorView view = golden.view(name);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(view.shape.element_count()));
    std::memcpy(ids.data(), view.data, ids.size() * sizeof(std::int64_t));
    texts.emplace_back(ids.begin(), ids.end());
  }
}

}  // namespace massact::testing_support
