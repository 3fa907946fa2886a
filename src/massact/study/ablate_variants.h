// The automatic variants of an ablation.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "massact/study/ablate.h"

namespace massact {

/// A variant that is about to run.
struct Variant {
  VariantRow row;
  std::vector<SiteEdit> edits;
  std::int64_t added_tokens = 0;          ///< as in Plan::fork
  std::vector<edit::WeightEdit> weights;  ///< needs a run of its own
};

/// original is not among them. `lengths` are the rows of every evaluated sequence; `notes` tell of
/// controls that this model gives nothing for.
std::vector<Variant> automatic_variants(const Targets& targets, const edit::EditContext& context,
                                        std::span<const std::int64_t> lengths,
                                        const AblateOptions& options, const ModelConfig& config,
                                        std::vector<std::string>& notes);

/// The variants of `options.plan`.
std::vector<Variant> planned_variants(const edit::EditContext& context,
                                      const std::vector<Plan::Tokens>& sequences,
                                      const AblateOptions& options, const ModelConfig& config);

/// Sentences about what the rows show (docs/ablate.md says how they are worded).
std::vector<std::string> verdicts_of(const AblateResult& result);

}  // namespace massact
