#include "massact/study/test_time.h"

#include <fmt/format.h>

#include <algorithm>

#include "massact/base/error.h"
#include "massact/edit/edits.h"
#include "massact/edit/move.h"
#include "massact/edit/random.h"
#include "massact/run/added_tokens.h"
#include "massact/study/test_time_parts.h"

namespace massact {
namespace test_time {
namespace {

std::vector<std::int64_t> neurons_in(const std::vector<RegisterNeuron>& neurons, int layer) {
  std::vector<std::int64_t> list;
  for (const RegisterNeuron& neuron : neurons) {
    if (neuron.layer == layer) list.push_back(neuron.neuron);
  }
  std::sort(list.begin(), list.end());
  return list;
}

}  // namespace

std::vector<SiteEdit> neuron_edits(const Context& context,
                                   const std::vector<RegisterNeuron>& neurons, bool move) {
  const ModelConfig& config = context.model.config();
  std::vector<SiteEdit> edits;
  for (int layer = 1; layer <= config.layers; ++layer) {
    std::vector<std::int64_t> own = neurons_in(neurons, layer);
    if (own.empty()) continue;
    const std::shared_ptr<const edit::Selector> selector =
        edit::by_position({edit::Positions::Kind::position_class, "patch", {}}, std::move(own),
                          context.labels, config.prefix_rows());
    edits.push_back(
        {{SiteKind::mlp_post, layer - 1},
         move ? edit::move_to_added(selector, edit::strongest_of(config), config.prefix_rows())
              : edit::edit_scalars(selector, edit::zero(), config.prefix_rows())});
  }
  return edits;
}

std::vector<RegisterNeuron> other_neurons(const std::vector<RegisterNeuron>& neurons,
                                          const ModelConfig& config, std::uint64_t seed) {
  std::vector<RegisterNeuron> others;
  for (int layer = 1; layer <= config.layers; ++layer) {
    const std::vector<std::int64_t> taken = neurons_in(neurons, layer);
    std::vector<std::pair<std::uint64_t, std::int64_t>> drawn;
    for (std::int64_t n = 0; n < config.mlp_size && !taken.empty(); ++n) {
      if (std::binary_search(taken.begin(), taken.end(), n)) continue;
      drawn.emplace_back(edit::mix(seed, static_cast<std::uint64_t>(layer), n), n);
    }
    std::sort(drawn.begin(), drawn.end());
    for (std::size_t i = 0; i < std::min(taken.size(), drawn.size()); ++i) {
      others.push_back({.layer = layer, .neuron = drawn[i].second});
    }
  }
  return others;
}

}  // namespace test_time

namespace {

using test_time::Context;

Variant variant_of(std::string name, std::string description, std::int64_t tokens,
                   std::vector<SiteEdit> edits) {
  Variant variant;
  variant.row.name = std::move(name);
  variant.row.description = std::move(description);
  variant.edits = std::move(edits);
  variant.added_tokens = tokens;
  return variant;
}

std::vector<Variant> variants_of(const Context& context, const TestTimeResult& result) {
  std::vector<Variant> variants;
  if (result.neurons.empty()) return variants;
  const std::int64_t tokens = context.options.tokens;
  const auto count = result.neurons.size();
  const auto add = [&](const char* name, std::string description, std::int64_t added,
                       const std::vector<RegisterNeuron>& neurons) {
    variants.push_back(variant_of(name, std::move(description), added,
                                  test_time::neuron_edits(context, neurons, added > 0)));
  };
  add("token alone", "a token of zeros added, nothing moved", tokens, {});
  add("test-time registers", fmt::format("{} neurons moved from the patches to it", count), tokens,
      result.neurons);
  add("neurons zero", fmt::format("the {} neurons zeroed at the patches, no token", count), 0,
      result.neurons);
  add("random neurons",
      fmt::format("{} other neurons of the same layers moved", result.control.size()), tokens,
      result.control);
  variants.back().row.kind = VariantKind::random;
  return variants;
}

}  // namespace

bool takes_test_time_registers(const Model& model) {
  const ModelConfig& config = model.config();
  return config.is_vision() && config.vision.registers == 0 && no_added_tokens(config).empty() &&
         absence({SiteKind::mlp_post, 0}, config).empty();
}

void check_test_time(const Model& model, const ImageSplit& split, const TestTimeOptions& options) {
  const ModelConfig& config = model.config();
  const auto require_layer = [&](const char* flag, int layer) {
    if (layer < 0 || layer > config.layers) {
      fail_usage(flag, "expected a layer from 1 to {}, got {}", config.layers, layer);
    }
  };
  require_layer("--outlier-layer", options.outlier_layer);
  require_layer("--last-layer", options.last_layer);
  if (options.tokens < 1) {
    fail_usage("--added-tokens", "expected at least one, got {}", options.tokens);
  }
  // Not every model can be given a token.
  Plan(model, split.calibration).fork("test-time registers", {}, options.tokens);
  const std::string absent = absence({SiteKind::mlp_post, 0}, config);
  if (!absent.empty()) fail_usage("--neurons", "expected MLPs with neurons: {}", absent);
}

TestTimeResult run_test_time(const Model& model, const ImageSplit& split,
                             const TestTimeOptions& options, const RunOptions& run,
                             Progress& progress, AblateResult& result) {
  const auto labels = std::make_shared<const ImageLabels>(model.config(), *split.evaluation);
  const Context context{model, split, options, run, progress, labels};
  check_test_time(model, split, options);
  TestTimeResult found;
  found.options = options;
  found.first_query = model.config().vision.class_tokens > 0 && model.config().prefix_rows() == 0;
  auto outliers = test_time::find_outliers(context, found);
  if (found.images_with_outliers > 0) {
    auto ranked = test_time::rank_neurons(context, found.last_layer, std::move(outliers));
    found.neurons = test_time::choose_neurons(context, std::move(ranked), found);
    found.control = test_time::other_neurons(found.neurons, model.config(), options.seed);
  } else {
    result.warnings.push_back(
        "no patch is an outlier in any calibration image: there is nothing to move "
        "(--outlier-ratio, "
        "--outlier-norm)");
  }
  test_time::OutlierMeter meter(context, found);
  run_variants(model, meter, variants_of(context, found), run, progress, result);
  found.variants = meter.outliers();
  return found;
}

}  // namespace massact
