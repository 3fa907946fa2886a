// What is wrong with a variant's edits and shows without running it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "massact/edit/edits.h"
#include "massact/model/config.h"
#include "massact/run/plan.h"

namespace massact::edit {

/// What an edit chooses at a site. The selector must not read values.
struct Chosen {
  Site site;
  std::string where;  ///< for errors
  std::shared_ptr<const Selector> selector;
};

/// Throws UsageError if two of `chosen` choose the same scalar of a site in one of the sequences
/// (ids of all their rows). Sites with the same selectors are looked at once. Memory does not
/// depend on how much is chosen.
void require_no_contradiction(const std::vector<Chosen>& chosen,
                              const std::vector<Plan::Tokens>& sequences,
                              const ModelConfig& config);

/// Throws UsageError if one of `chosen` chooses nothing in any sequence.
void require_matches(const std::vector<Chosen>& chosen, const std::vector<Plan::Tokens>& sequences,
                     const ModelConfig& config);

/// Throws what `mean` throws if a scalar that `chosen` chooses has none.
void require_means(const Chosen& chosen, const Change& mean,
                   const std::vector<Plan::Tokens>& sequences, const ModelConfig& config);

}  // namespace massact::edit
