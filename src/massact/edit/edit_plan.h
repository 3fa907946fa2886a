// Edit plans: which variants of a model to run, as people write them in JSON (docs/edit-plans.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "massact/edit/edits.h"
#include "massact/edit/weight_edits.h"
#include "massact/io/json.h"
#include "massact/run/plan.h"

namespace massact::edit {

enum class Action : std::uint8_t { zero, set, scale, mean, clamp, noise, quantise, move };

/// What quantisation does with the massive scalars.
enum class MassiveScalars : std::uint8_t { in, kept, mean };

/// One edit of activations, possibly at several sites.
struct EditSpec {
  std::string where;  ///< "plan.json: variants[0].edits[1]", for errors
  std::vector<Site> sites;
  bool found = false;  ///< the scalars that meet the rule at the site's layer; else `positions`
  Positions positions;
  std::vector<std::int64_t> dimensions;  ///< empty: all
  Action action = Action::zero;
  double amount = 0.0;    ///< value, factor, limit or sigma
  bool relative = false;  ///< noise
  int bits = 8;           ///< quantise
  bool per_token = true;
  MassiveScalars massive = MassiveScalars::in;

  /// True if it needs to know which scalars meet the rule.
  bool needs_findings() const;
};

/// Throws UsageError if findings are needed at sites that the rule does not look at.
void require_sites_with_findings(const EditSpec& spec);

struct VariantSpec {
  std::string name;
  std::int64_t added_tokens = 0;  ///< as in Plan::fork
  std::vector<EditSpec> edits;
  std::vector<WeightEdit> weights;
};

struct EditPlan {
  std::vector<VariantSpec> variants;

  /// Reads a plan for a model. Throws Error or UsageError naming file and field for unknown sites,
  /// fields, classes and actions, layers and dimensions beyond the model, missing amounts, weights
  /// as `require_weight_edits`, and tokens that this model cannot add.
  static EditPlan parse(const JsonObject& json, const Model& model);
  static EditPlan from_file(const std::filesystem::path& path, const Model& model);

  bool needs_findings() const;
};

/// What is known about the sequences that a variant will run on.
struct EditContext {
  std::shared_ptr<const PositionLabels> labels;
  std::map<int, std::shared_ptr<const ScalarLists>> found;  ///< by layer
  std::map<int, std::shared_ptr<const Means>> means;        ///< by layer
  std::int64_t prefix_rows = 0;
  std::uint64_t seed = 0;
};

/// The ids of all rows of a plan's sequences, without those that streams add: `build_edits`'.
std::vector<Plan::Tokens> rows_of(const Plan& plan);

/// The variant's edits for a Plan with `sequences` (all rows, without those that it adds). Throws
/// UsageError if two of them change the same scalar or one matches nothing in any sequence, Error
/// if one needs findings at a layer that has none or a mean that nothing was averaged for.
std::vector<SiteEdit> build_edits(const VariantSpec& variant, const EditContext& context,
                                  const std::vector<Plan::Tokens>& sequences,
                                  const ModelConfig& config);

}  // namespace massact::edit
