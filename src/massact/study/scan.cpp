#include "massact/study/scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "massact/observe/magnitudes.h"
#include "massact/observe/window.h"
#include "massact/study/corpus_labels.h"
#include "massact/study/image_labels.h"

namespace massact {
namespace {

static_assert(kScanQuantiles == observe::kQuantiles);

std::vector<int> layers_of(const ScanOptions& options, const ModelConfig& config) {
  if (!options.layers.empty()) return options.layers;
  std::vector<int> layers(static_cast<std::size_t>(config.layers) + 1);
  std::iota(layers.begin(), layers.end(), 0);
  return layers;
}

std::vector<Site> router_sites(const MoeConfig& moe) {
  std::vector<Site> sites;
  for (std::size_t block = 0; block < moe.blocks.size(); ++block) {
    if (moe.blocks[block]) sites.push_back({SiteKind::mlp_router, static_cast<int>(block)});
  }
  return sites;
}

double ratio_of(float value, double median) {
  const double abs = std::abs(static_cast<double>(value));
  return abs == 0.0 ? 0.0 : abs / median;
}

// The largest values of a layer over all its sequences.
std::vector<TopValue> largest_values(const observe::LayerMagnitudes& layer, std::size_t count,
                                     const PositionLabels& labels) {
  struct Entry {
    const observe::SequenceMagnitudes* sequence;
    const observe::Magnitude* magnitude;
  };
  std::vector<Entry> entries;
  for (const auto& sequence : layer.sequences) {
    for (const auto& magnitude : sequence.top) entries.push_back({&sequence, &magnitude});
  }
  // Stable: ties stay in order of sequence and position.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::abs(a.magnitude->value) > std::abs(b.magnitude->value);
  });
  if (entries.size() > count) entries.resize(count);
  std::vector<TopValue> largest;
  for (const auto& [sequence, m] : entries) {
    TopValue& top = largest.emplace_back();
    top.value = m->value;
    top.sequence = sequence->sequence;
    top.position = m->position;
    top.dimension = m->dimension;
    top.token_id = labels.token_id(top.sequence, top.position);
    top.token = labels.token_text(top.sequence, top.position);
    top.position_class = labels.position_class(top.sequence, top.position);
    top.ratio = ratio_of(m->value, sequence->median());
  }
  return largest;
}

LayerRow make_row(int number, const observe::LayerMagnitudes& layer, std::size_t largest,
                  const PositionLabels& labels) {
  LayerRow row;
  row.layer = number;
  row.quantiles.assign(kScanQuantiles.size(), 0.0);
  const auto n = static_cast<double>(layer.sequences.size());
  double values = 0.0;
  for (const auto& sequence : layer.sequences) {
    SequenceRow& out = row.sequences.emplace_back();
    out.sequence = sequence.sequence;
    out.median = sequence.median();
    for (std::size_t i = 0; i < std::min(out.top.size(), sequence.top.size()); ++i) {
      out.top[i] = std::abs(static_cast<double>(sequence.top[i].value));
      row.top[i] += out.top[i] / n;
    }
    row.median += out.median / n;
    for (std::size_t i = 0; i < row.quantiles.size(); ++i) {
      row.quantiles[i] += static_cast<double>(sequence.quantiles[i]) / n;
    }
    row.max_abs = std::max(row.max_abs, sequence.max_abs());
    row.max_over_median += sequence.max_over_median() / n;
    row.mean_abs += sequence.mean_abs * sequence.powers.count;
    values += sequence.powers.count;
    row.kurtosis += sequence.kurtosis() / n;
    row.excess_kurtosis += sequence.excess_kurtosis() / n;
    row.strict_count += sequence.strict_count;
  }
  row.mean_abs /= values;
  row.median_pooled = layer.median_pooled();
  for (const double q : kScanQuantiles) row.quantiles_pooled.push_back(layer.quantile_pooled(q));
  row.largest = largest_values(layer, largest, labels);
  return row;
}

void find(const observe::Magnitudes& magnitudes, const ScanOptions& options,
          const PositionLabels& labels, ScanResult& result) {
  result.findings = magnitudes.findings(options.rule, labels);
  if (result.findings.findings.empty() && options.rule.kind != RuleKind::automatic) {
    result.automatic = magnitudes.findings(Rule::automatic(), labels);
  }
  if (result.best().findings.empty()) {
    result.candidates = magnitudes.candidates(options.candidates, labels);
  }
  if (result.findings.truncated > 0) {
    result.warnings.push_back(
        fmt::format("In {} layers of sequences more than the {} largest values meet the rule {}: "
                    "the findings hold the largest only.",
                    result.findings.truncated, options.top_k, options.rule.to_string()));
  }
  std::set<std::int64_t> massive;
  for (const Finding& finding : result.best().findings) {
    if (finding.label == Label::massive) massive.insert(finding.dimension);
  }
  for (const auto& outlier : observe::outlier_dimensions(magnitudes)) {
    result.outlier_features.push_back({outlier.dimension, outlier.layer_share, outlier.token_share,
                                       massive.contains(outlier.dimension)});
  }
}

ScanResult scan_plan(Plan& plan, const PositionLabels& labels, const ScanOptions& options,
                     Progress& progress) {
  const ModelConfig& config = plan.model().config();
  const std::vector<Site> sites = sites::hidden_states(config, layers_of(options, config));
  const auto& magnitudes = plan.observe(sites, observe::Magnitudes({.top_k = options.top_k}));
  const auto& window = plan.observe(sites, observe::Window());
  const observe::Routing* routing = nullptr;
  if (config.moe.experts > 0) {
    routing = &plan.observe(router_sites(config.moe), observe::Routing(config.moe));
  }
  RunOptions run_options = options.run;
  run_options.kept = scan_bytes(
      config, observe::HiddenStates::of(plan, std::ssize(sites), run_options.thread_count()),
      options.top_k);
  const RunReport report = run(plan, run_options, progress);

  ScanResult result;
  result.facts = scan_facts(plan, report);
  result.warnings = report.notes;
  for (const auto& [number, layer] : magnitudes.layers()) {
    result.layers.push_back(make_row(number, layer, options.largest, labels));
  }
  find(magnitudes, options, labels, result);
  if (routing) result.routing = routing_of(*routing, config.moe, result.best());
  result.window = make_window(window, result.best(), plan.lengths(), labels);
  return result;
}

}  // namespace

ScanFacts scan_facts(const Plan& plan, const RunReport& report) {
  ScanFacts facts;
  static_cast<RunFacts&>(facts) = run_facts(plan.model(), report);
  for (const std::int64_t rows : plan.lengths()) {
    facts.seq_len = std::max(facts.seq_len, rows - plan.model().config().prefix_rows());
  }
  facts.sequences = plan.sequence_count();
  return facts;
}

std::uint64_t scan_bytes(const ModelConfig& config, const observe::HiddenStates& watched,
                         std::int64_t top_k) {
  return observe::magnitudes_bytes(watched, {.top_k = top_k}) + observe::window_bytes(watched, {}) +
         observe::routing_bytes(config.moe, watched.sequences, watched.rows);
}

const FindingSet& ScanResult::best() const {
  if (candidates) return *candidates;
  return automatic ? *automatic : findings;
}

ScanResult run_scan(const Model& model, const Corpus& corpus, const ScanOptions& options,
                    Progress& progress) {
  std::vector<Plan::Tokens> sequences;
  for (const Sequence& sequence : corpus.sequences()) sequences.push_back(sequence.tokens);
  Plan plan(model, std::move(sequences));
  const CorpusLabels labels(corpus, options.classes, model.config().prefix_rows());
  ScanResult result = scan_plan(plan, labels, options, progress);
  result.facts.text = corpus.source_names();
  result.facts.bos = corpus.adds_bos();
  return result;
}

ScanResult run_scan(const Model& model, std::shared_ptr<const ImageFiles> images,
                    const ScanOptions& options, Progress& progress) {
  Plan plan(model, images);
  const ImageLabels labels(model.config(), *images);
  ScanResult result = scan_plan(plan, labels, options, progress);
  result.facts.images = image_facts(model.config(), *images);
  result.facts.text = describe(*result.facts.images);
  return result;
}

}  // namespace massact
