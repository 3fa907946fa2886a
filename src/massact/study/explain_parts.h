// The steps of run_explain, each in its own file.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "massact/eval/window.h"
#include "massact/observe/attention_mass.h"
#include "massact/observe/extremes.h"
#include "massact/observe/vector_path.h"
#include "massact/study/corpus_labels.h"
#include "massact/study/explain.h"

namespace massact::explain {

/// What all steps share.
struct Context {
  const Model& model;
  const ExplainOptions& options;
  Progress& progress;
  std::shared_ptr<const PositionLabels> labels;
  std::vector<Plan::Tokens> sequences;       ///< texts; empty if the model reads images
  std::shared_ptr<const ImageFiles> images;  ///< null if it reads texts
  std::int64_t calibration_end = 0;          ///< sequences from it on are kept for the test
  std::int64_t test_tokens = 0;              ///< the test reads so many of each at most
  std::int64_t sink_length = 0;              ///< T of the sink metric
  std::uint64_t kept = 0;                    ///< bytes of what the sweep keeps, for later runs

  std::int64_t count() const;
  /// Tokens of a sequence, the sink token's row not among them.
  std::int64_t length(std::int64_t sequence) const;
  /// A run that keeps so many bytes more than the sweep.
  RunOptions run_options(std::uint64_t more) const;
  /// A run over everything.
  Plan plan() const;
  /// A run over the beginnings of some sequences: so many tokens of each. Of images all.
  Plan plan(const std::map<std::int64_t, std::int64_t>& lengths) const;
};

/// Step 1: follows the findings' scalars through the layers. Findings whose tokens lie too deep in
/// their texts are left as they are.
std::vector<ExplainFinding> trace_findings(const Context& context,
                                           std::vector<ExplainFinding> findings);

/// Bytes that this step keeps of so many scalars.
std::uint64_t trace_bytes(const Plan& plan, std::int64_t targets);

/// Step 1: the largest entries of down projections, and the neurons behind the births.
std::vector<SuperWeight> super_weights_of(const Context& context,
                                          const observe::Extremes& extremes);
std::vector<MassiveWeight> massive_weights_of(const Context& context,
                                              const std::vector<ExplainFinding>& findings);

/// Steps 2 to 4, from the observers.
std::vector<ExplainPath> paths_of(const observe::VectorPath& path);
void add_sinks(const observe::AttentionMass& mass, ExplainResult& result);
void add_bias(const observe::AttentionMass& mass, ExplainResult& result);

/// The beginnings of the kept texts, which step 5 reads; of images none.
std::vector<eval::Window> test_windows(const Context& context);

/// Step 5. None if there is nothing to replace or to measure; `warnings` say why.
std::optional<Replacement> test_constant(const Context& context, const observe::AttentionMass& mass,
                                         const observe::TokenLists& massive,
                                         std::vector<std::string>& warnings);

/// Step 6.
std::vector<AttentionMap> draw_maps(const Context& context);

}  // namespace massact::explain
