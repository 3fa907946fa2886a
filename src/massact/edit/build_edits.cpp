// What the edits of a plan are at their sites (edit_plan.h).
#include <algorithm>
#include <set>

#include "massact/base/error.h"
#include "massact/edit/edit_plan.h"
#include "massact/edit/move.h"
#include "massact/edit/plan_checks.h"

namespace massact::edit {
namespace {

// What a site's edits need from the scan.
template <typename T>
std::shared_ptr<const T> at_layer(const std::map<int, std::shared_ptr<const T>>& by_layer,
                                  const EditSpec& spec, Site site, std::string_view what) {
  const auto it = by_layer.find(layer_of(site));
  require(it != by_layer.end() && it->second != nullptr, spec.where,
          "expected {} at layer {}, but no scalar meets the rule there", what, layer_of(site));
  return it->second;
}

std::shared_ptr<const ScalarLists> with_dimensions(std::shared_ptr<const ScalarLists> all,
                                                   const std::vector<std::int64_t>& dimensions) {
  if (dimensions.empty()) return all;
  ScalarLists kept = *all;
  for (auto& [sequence, list] : kept) {
    std::erase_if(list, [&](const Scalar& s) {
      return !std::binary_search(dimensions.begin(), dimensions.end(), s.dimension);
    });
  }
  return std::make_shared<const ScalarLists>(std::move(kept));
}

std::shared_ptr<const Selector> selector_of(const EditSpec& spec, Site site,
                                            const EditContext& context) {
  if (!spec.found) {
    return by_position(spec.positions, spec.dimensions, context.labels, context.prefix_rows);
  }
  const auto scalars = at_layer(context.found, spec, site, "found scalars");
  return by_list("found", with_dimensions(scalars, spec.dimensions), context.prefix_rows);
}

Change change_of(const EditSpec& spec, Site site, const EditContext& context) {
  const auto amount = static_cast<float>(spec.amount);
  switch (spec.action) {
    case Action::set:
      return set(amount);
    case Action::scale:
      return scale(amount);
    case Action::mean:
      return mean(at_layer(context.means, spec, site, "means"), context.labels);
    case Action::clamp:
      return clamp(amount);
    case Action::noise:
      return noise(spec.amount, spec.relative, context.seed);
    case Action::zero:
    case Action::quantise:
    case Action::move:
      break;
  }
  return zero();
}

Quantisation quantisation_of(const EditSpec& spec, Site site, const EditContext& context) {
  Quantisation options;
  options.bits = spec.bits;
  options.per_token = spec.per_token;
  // A layer without massive scalars has none to keep apart.
  if (spec.massive != MassiveScalars::in && context.found.contains(layer_of(site))) {
    options.apart = by_list("massive scalars", at_layer(context.found, spec, site, "scalars"),
                            context.prefix_rows);
    if (spec.massive == MassiveScalars::mean) {
      options.means = at_layer(context.means, spec, site, "means");
      options.labels = context.labels;
    }
  }
  return options;
}

// A variant's edits, and what they choose.
class Builder {
 public:
  Builder(const EditContext& context, const std::vector<Plan::Tokens>& sequences,
          const ModelConfig& config)
      : context_(context), sequences_(sequences), config_(config) {}

  std::vector<SiteEdit> build(const std::vector<EditSpec>& specs) {
    for (const EditSpec& spec : specs) {
      require_sites_with_findings(spec);
      // One for all sites, so that the checks look at it once.
      std::shared_ptr<const Selector> everywhere;
      if (!spec.found) everywhere = selector_of(spec, spec.sites.front(), context_);
      for (const Site site : spec.sites) {
        if (spec.action == Action::quantise) {
          add_quantisation(spec, site);
        } else {
          add(spec, site, spec.found ? selector_of(spec, site, context_) : everywhere);
        }
      }
    }
    require_matches(chosen_, sequences_, config_);
    require_no_contradiction(chosen_, sequences_, config_);
    return std::move(edits_);
  }

 private:
  void add(const EditSpec& spec, Site site, std::shared_ptr<const Selector> selector) {
    chosen_.push_back({site, spec.where, selector});
    if (spec.action == Action::move) {
      edits_.push_back(
          {site, move_to_added(std::move(selector), strongest_of(config_), context_.prefix_rows)});
      return;
    }
    Change change = change_of(spec, site, context_);
    if (spec.action == Action::mean) require_means(chosen_.back(), change, sequences_, config_);
    edits_.push_back(
        {site, edit_scalars(std::move(selector), std::move(change), context_.prefix_rows)});
  }

  void add_quantisation(const EditSpec& spec, Site site) {
    if (!quantised_.insert(site).second) {
      fail_usage(spec.where, "contradicts another edit: both quantise {}", name_of(site));
    }
    Quantisation options = quantisation_of(spec, site, context_);
    if (options.means) {
      require_means({site, spec.where, options.apart}, mean(options.means, options.labels),
                    sequences_, config_);
    }
    edits_.push_back({site, quantise(std::move(options), context_.prefix_rows)});
  }

  const EditContext& context_;
  const std::vector<Plan::Tokens>& sequences_;
  const ModelConfig& config_;
  std::vector<SiteEdit> edits_;
  std::vector<Chosen> chosen_;
  std::set<Site> quantised_;
};

}  // namespace

std::vector<Plan::Tokens> rows_of(const Plan& plan) {
  std::vector<Plan::Tokens> rows;
  for (std::int64_t i = 0; i < plan.sequence_count(); ++i) {
    const auto tokens = plan.tokens(i);
    rows.emplace_back(tokens.begin(), tokens.end());
  }
  return rows;
}

std::vector<SiteEdit> build_edits(const VariantSpec& variant, const EditContext& context,
                                  const std::vector<Plan::Tokens>& sequences,
                                  const ModelConfig& config) {
  if (variant.added_tokens == 0) return Builder(context, sequences, config).build(variant.edits);
  std::vector<Plan::Tokens> rows = sequences;
  for (Plan::Tokens& row : rows) {
    row.resize(row.size() + static_cast<std::size_t>(variant.added_tokens), kAddedToken);
  }
  return Builder(context, rows, config).build(variant.edits);
}

}  // namespace massact::edit
