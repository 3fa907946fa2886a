// Which patches are outliers, and which neurons write them.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <span>

#include "massact/base/error.h"
#include "massact/eval/image_board.h"
#include "massact/observe/weight_lines.h"
#include "massact/run/executor.h"
#include "massact/study/test_time_parts.h"

namespace massact::test_time {
namespace {

using observe::OutlierTable;
using observe::PatchNorms;

/// Numbers of neurons that are tried, and the share of the outliers that may be left.
constexpr std::array<std::int64_t, 7> kTried{1, 2, 5, 10, 20, 50, 100};
constexpr double kLeft = 0.1;

// How many of the outliers behind the outlier layer are outliers here already; both ascending.
std::int64_t common(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  std::vector<std::int64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return std::ssize(both);
}

OutlierLayer layer_of_images(int layer, const std::vector<PatchNorms>& images) {
  OutlierLayer sums;
  sums.layer = layer;
  const auto n = static_cast<double>(images.size());
  for (const PatchNorms& image : images) {
    sums.median += image.median / n;
    sums.largest += image.largest / n;
    sums.ratio += image.median > 0 ? image.largest / image.median / n : 0.0;
    sums.outliers += static_cast<double>(image.outliers.size()) / n;
  }
  return sums;
}

// The lengths of the output projection's columns, LayerScale included: [f].
std::vector<double> column_lengths(observe::WeightLines& lines, int block) {
  const std::string mlp = fmt::format("blocks.{}.mlp.", block);
  const ModelConfig& config = lines.config();
  const std::vector<float> scale = lines.vector(mlp + "layer_scale");
  std::vector<double> squares(static_cast<std::size_t>(config.mlp_size));
  for (std::int64_t d = 0; d < config.width; ++d) {
    const std::vector<float> row = lines.of_output(mlp + "W_out", d);
    const double factor = scale.empty() ? 1.0 : scale[static_cast<std::size_t>(d)];
    for (std::size_t n = 0; n < squares.size(); ++n) {
      squares[n] += std::pow(factor * static_cast<double>(row[n]), 2);
    }
  }
  lines.clear();
  for (double& square : squares) square = std::sqrt(square);
  return squares;
}

struct Trial {
  std::int64_t neurons = 0;
  std::shared_ptr<OutlierTable> table;
};

// One stream per trial, as many at a time as the budget holds.
void run_trials(const Context& context, Site site,
                const std::function<std::vector<RegisterNeuron>(std::int64_t)>& best,
                std::span<const Trial> trials) {
  while (!trials.empty()) {
    Plan plan(context.model, context.split.calibration);
    const std::int64_t fit = streams_that_fit(
        {.plan = plan, .streams = 1 + std::ssize(trials), .added_tokens = context.options.tokens},
        context.run);
    const auto group = static_cast<std::size_t>(std::max<std::int64_t>(fit - 1, 1));
    for (const Trial& trial : trials.first(group)) {
      const int stream =
          plan.fork(fmt::format("{} neurons", trial.neurons),
                    neuron_edits(context, best(trial.neurons), true), context.options.tokens);
      plan.observe({site},
                   observe::OutlierPatches(context.patches(), context.options.rule, trial.table),
                   stream);
    }
    run(plan, context.run, context.progress);
    trials = trials.subspan(group);
  }
}

}  // namespace

std::vector<RunToCome> largest_runs(const TestTimeOptions& options, const Plan& calibration,
                                    const Plan& evaluation) {
  const std::uint64_t scores = eval::image_score_bytes(evaluation.sequence_count());
  return {{.plan = calibration, .streams = 2, .added_tokens = options.tokens},
          {.plan = evaluation,
           .streams = 2,
           .logits = true,
           .attention = options.last_layer < evaluation.model().config().layers,
           .added_tokens = options.tokens,
           .kept = scores,
           .kept_per_stream = scores}};
}

std::vector<std::vector<std::int64_t>> find_outliers(const Context& context,
                                                     TestTimeResult& result) {
  const ModelConfig& config = context.model.config();
  const auto table = std::make_shared<OutlierTable>();
  Plan plan(context.model, context.split.calibration);
  plan.observe(sites::resid_post(config),
               observe::OutlierPatches(context.patches(), context.options.rule, table));
  run(plan, context.run, context.progress);
  for (const auto& [block, images] : *table) {
    result.layers.push_back(layer_of_images(block + 1, images));
  }
  const auto most =
      std::max_element(result.layers.begin(), result.layers.end(),
                       [](const auto& a, const auto& b) { return a.ratio < b.ratio; });
  result.outlier_layer =
      context.options.outlier_layer > 0 ? context.options.outlier_layer : most->layer;
  const auto& chosen = table->at(result.outlier_layer - 1);
  std::vector<std::vector<std::int64_t>> outliers;
  std::int64_t all = 0;
  for (const PatchNorms& image : chosen) {
    outliers.push_back(image.outliers);
    all += std::ssize(image.outliers);
    result.images_with_outliers += image.outliers.empty() ? 0 : 1;
  }
  result.images = std::ssize(chosen);
  result.last_layer = context.options.last_layer;
  for (OutlierLayer& layer : result.layers) {
    std::int64_t kept = 0;
    const auto& images = table->at(layer.layer - 1);
    for (std::size_t i = 0; i < images.size(); ++i) kept += common(images[i].outliers, outliers[i]);
    layer.kept = all > 0 ? static_cast<double>(kept) / static_cast<double>(all) : 0.0;
    if (result.last_layer == 0 && 2 * kept >= all) result.last_layer = layer.layer;
  }
  return outliers;
}

std::vector<RegisterNeuron> rank_neurons(const Context& context, int last_layer,
                                         std::vector<std::vector<std::int64_t>> outliers) {
  std::vector<Site> sites;
  for (int block = 0; block < last_layer; ++block) sites.push_back({SiteKind::mlp_post, block});
  Plan plan(context.model, context.split.calibration);
  const auto& sums =
      plan.observe(sites, observe::OutlierNeurons(context.patches(), std::move(outliers)));
  run(plan, context.run, context.progress);
  std::vector<RegisterNeuron> neurons;
  observe::WeightLines lines(context.model);
  for (const auto& [block, own] : sums.blocks()) {
    const std::vector<double> lengths = column_lengths(lines, block);
    const auto n = static_cast<double>(own.images);
    for (std::size_t i = 0; i < own.at_outliers.size(); ++i) {
      RegisterNeuron neuron{.layer = block + 1, .neuron = static_cast<std::int64_t>(i)};
      neuron.at_outliers = own.at_outliers[i] / n;
      neuron.elsewhere = own.elsewhere[i] / n;
      neuron.column = lengths[i];
      neuron.contribution = (neuron.at_outliers - neuron.elsewhere) * neuron.column;
      neurons.push_back(neuron);
    }
  }
  const bool published = context.options.rank == NeuronRank::activation;
  std::stable_sort(neurons.begin(), neurons.end(), [&](const auto& a, const auto& b) {
    return published ? a.at_outliers > b.at_outliers : a.contribution > b.contribution;
  });
  return neurons;
}

std::vector<RegisterNeuron> choose_neurons(const Context& context,
                                           std::vector<RegisterNeuron> ranked,
                                           TestTimeResult& result) {
  const auto total = std::ssize(ranked);
  const auto best = [&](std::int64_t count) {
    return std::vector<RegisterNeuron>(ranked.begin(), ranked.begin() + std::min(count, total));
  };
  if (context.options.neurons > total) {
    fail_usage("--neurons", "expected at most the {} neurons of layers 1 to {}, got {}", total,
               result.last_layer, context.options.neurons);
  }
  if (context.options.neurons > 0) return best(context.options.neurons);
  std::vector<Trial> tried;
  for (const std::int64_t count : kTried) {
    if (count <= total) tried.push_back({count, std::make_shared<OutlierTable>()});
  }
  const Site site = {SiteKind::resid_post, result.outlier_layer - 1};
  run_trials(context, site, best, tried);
  const OutlierLayer& before = result.layers[static_cast<std::size_t>(result.outlier_layer - 1)];
  result.sweep.push_back({0, before.outliers, before.largest});
  const NeuronSweep* chosen = nullptr;
  for (const auto& [count, table] : tried) {
    const OutlierLayer after = layer_of_images(result.outlier_layer, table->at(site.block));
    result.sweep.push_back({count, after.outliers, after.largest});
  }
  for (const NeuronSweep& step : result.sweep) {
    if (step.neurons == 0) continue;
    if (chosen == nullptr || step.outliers < chosen->outliers) chosen = &step;
    if (step.outliers <= kLeft * before.outliers) break;
  }
  return best(chosen->neurons);
}

}  // namespace massact::test_time
