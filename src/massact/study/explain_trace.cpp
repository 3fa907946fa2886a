// Birth and death: a few scalars of each finding are followed through all layers, in a run of their
// own over their sequences, cut behind them (what comes later cannot change them).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "massact/observe/origin.h"
#include "massact/observe/weight_lines.h"
#include "massact/study/explain_parts.h"

namespace massact::explain {
namespace {

constexpr std::size_t kTopNeurons = 8;
constexpr std::size_t kTopSources = 4;
/// The trace reads at most one token in so many of the corpus (but one whole sequence if need be).
constexpr std::int64_t kTraceShare = 16;
/// Massive weights: neurons with at least this share of a birth.
constexpr double kMassiveShare = 0.05;

using observe::HeadsDetail;
using observe::MlpDetail;
using observe::OriginStep;

// The texts of the trace: of each sequence its beginning, up to the furthest scalar that is
// followed.
class TraceTexts {
 public:
  explicit TraceTexts(const Context& context) : context_(context) {}

  /// Tokens more that following this position would cost.
  std::int64_t growth(const FindingValue& value) const {
    const auto it = lengths_.find(value.sequence);
    const std::int64_t known = it == lengths_.end() ? 0 : it->second;
    return std::max<std::int64_t>(0, needed(value) - known);
  }
  void add(const FindingValue& value) {
    tokens_ += growth(value);
    std::int64_t& length = lengths_[value.sequence];
    length = std::max(length, needed(value));
  }
  std::int64_t tokens() const { return tokens_; }

  /// The run's number of a corpus sequence.
  std::int64_t number_of(std::int64_t sequence) const {
    return std::distance(lengths_.begin(), lengths_.find(sequence));
  }
  Plan plan() const { return context_.plan(lengths_); }

 private:
  std::int64_t needed(const FindingValue& value) const {
    const ModelConfig& config = context_.model.config();
    const std::int64_t all = context_.length(value.sequence);
    // Rotary frequencies that depend on the length need the whole text; patches see all others.
    if (config.rope.depends_on_length() || config.is_vision()) return all;
    return std::clamp<std::int64_t>(value.position + 1 - config.prefix_rows(), 1, all);
  }

  const Context& context_;
  std::map<std::int64_t, std::int64_t> lengths_;  // by corpus sequence
  std::int64_t tokens_ = 0;
};

// Scalars of a finding in different sequences, the cheapest to follow first, as long as the texts
// stay within `budget` tokens.
std::vector<FindingValue> scalars_to_follow(const Finding& finding, std::int64_t count,
                                            std::int64_t budget, TraceTexts& texts) {
  std::vector<FindingValue> chosen;
  std::set<std::int64_t> sequences;
  while (std::ssize(chosen) < count) {
    const FindingValue* best = nullptr;
    for (const FindingValue& value : finding.values) {
      if (sequences.contains(value.sequence)) continue;
      if (best == nullptr || texts.growth(value) < texts.growth(*best)) best = &value;
    }
    if (best == nullptr || texts.tokens() + texts.growth(*best) > budget) break;
    texts.add(*best);
    sequences.insert(best->sequence);
    chosen.push_back(*best);
  }
  return chosen;
}

// One finding's part of the trace: its targets' steps.
class FindingTrace {
 public:
  FindingTrace(const Context& context, const observe::Origin& origin,
               std::vector<std::size_t> targets, ExplainFinding& finding)
      : context_(context), origin_(origin), targets_(std::move(targets)), finding_(finding) {}

  void fill() {
    const auto blocks = static_cast<int>(context_.model.config().layers);
    for (int block = 0; block < blocks; ++block) add_layer(block);
    const int peak = finding_.finding.peak_layer;
    const double sign = finding_.finding.mean < 0 ? -1.0 : 1.0;
    // birth: the largest write in the value's own direction, up to the peak; death: the largest
    // one against it behind the peak, if little is left in the end.
    const int birth = largest_write(1, peak, sign);
    if (birth > 0) finding_.birth = write_of(birth);
    const double left = std::abs(finding_.layers.back().value);
    if (left > 0.5 * std::abs(finding_.layers[static_cast<std::size_t>(peak)].value)) return;
    const int death = largest_write(peak + 1, blocks, -sign);
    if (death > 0) finding_.death = write_of(death);
  }

 private:
  const OriginStep& step(std::size_t n, int block) const {
    return origin_.steps()[targets_[n]][static_cast<std::size_t>(block)];
  }
  template <typename Value>
  double mean(const Value& value) const {
    double sum = 0;
    for (std::size_t n = 0; n < targets_.size(); ++n) sum += value(n);
    return sum / static_cast<double>(targets_.size());
  }

  void add_layer(int block) {
    if (block == 0) {
      finding_.layers.push_back(
          {0, mean([&](std::size_t n) { return step(n, 0).before; }), 0.0, 0.0});
    }
    finding_.layers.push_back({block + 1, mean([&](auto n) { return step(n, block).after; }),
                               mean([&](auto n) { return step(n, block).attention; }),
                               mean([&](auto n) { return step(n, block).mlp; })});
    for (std::size_t n = 0; n < targets_.size(); ++n) {
      finding_.closure = std::max(finding_.closure, step(n, block).closure);
    }
  }

  // The layer of [first, last] with the largest write times sign; 0: none has that sign.
  int largest_write(int first, int last, double sign) const {
    int best = 0;
    double most = 0;
    for (int layer = first; layer <= last; ++layer) {
      const ExplainLayerValue& at = finding_.layers[static_cast<std::size_t>(layer)];
      const double write = sign * (at.attention + at.mlp);
      if (write > most) {
        most = write;
        best = layer;
      }
    }
    return best;
  }

  ExplainWrite write_of(int layer) const {
    const int block = layer - 1;
    ExplainWrite write;
    write.layer = layer;
    write.before = mean([&](auto n) { return step(n, block).before; });
    write.after = mean([&](auto n) { return step(n, block).after; });
    write.attention = mean([&](auto n) { return step(n, block).attention; });
    write.mlp = mean([&](auto n) { return step(n, block).mlp; });
    for (std::size_t n = 0; n < targets_.size(); ++n) {
      write.closure = std::max(write.closure, step(n, block).closure);
    }
    write.mlp_split = mlp_split(block, write.mlp);
    write.heads_split = heads_split(block, write.attention);
    write.mlp_reason = write.mlp_split ? "" : origin_.mlp_reason();
    if (!write.mlp_split && write.mlp_reason.empty()) write.mlp_reason = kTooSmall;
    if (!write.heads_split) write.heads_reason = kTooSmall;
    return write;
  }

  std::optional<ExplainMlp> mlp_split(int block, double written) const {
    std::vector<const MlpDetail*> details;
    for (std::size_t n = 0; n < targets_.size(); ++n) {
      if (step(n, block).mlp_detail) details.push_back(step(n, block).mlp_detail.get());
    }
    if (details.size() != targets_.size()) return std::nullopt;
    const auto count = static_cast<double>(details.size());
    std::vector<double> contributions(details.front()->value.size());
    ExplainMlp split;
    for (const MlpDetail* detail : details) {
      split.bias += detail->bias / count;
      split.closure = std::max(split.closure, detail->closure);
      for (std::size_t i = 0; i < contributions.size(); ++i) {
        contributions[i] += detail->contribution(i) / count;
      }
    }
    std::vector<std::size_t> order(contributions.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::abs(contributions[a]) > std::abs(contributions[b]);
    });
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
      const std::size_t i = order[rank];
      if (rank >= kTopNeurons) {
        split.rest += contributions[i];
        continue;
      }
      split.top.push_back(neuron(i, contributions[i], written, details));
    }
    return split;
  }

  static ExplainNeuron neuron(std::size_t i, double contribution, double written,
                              const std::vector<const MlpDetail*>& details) {
    ExplainNeuron result;
    result.neuron = static_cast<std::int64_t>(i);
    result.contribution = contribution;
    result.share = written != 0 ? contribution / written : 0.0;
    result.weight = details.front()->weight[i];
    const auto mean_of = [&](auto&& values) {
      double sum = 0;
      for (const MlpDetail* detail : details) sum += static_cast<double>(values(*detail)[i]);
      return sum / static_cast<double>(details.size());
    };
    result.value = mean_of([](const MlpDetail& d) -> const auto& { return d.value; });
    result.gate = mean_of([](const MlpDetail& d) -> const auto& { return d.gate; });
    if (!details.front()->up.empty()) {
      result.up = mean_of([](const MlpDetail& d) -> const auto& { return d.up; });
    }
    for (const observe::NeuronInputs& inputs : details.front()->inputs) {
      if (inputs.neuron != result.neuron) continue;
      for (const auto& term : inputs.gate) {
        result.gate_inputs.push_back({term.dimension, term.value, term.weight});
      }
      for (const auto& term : inputs.up) {
        result.up_inputs.push_back({term.dimension, term.value, term.weight});
      }
    }
    return result;
  }

  std::optional<ExplainHeads> heads_split(int block, double written) const {
    std::vector<const HeadsDetail*> details;
    for (std::size_t n = 0; n < targets_.size(); ++n) {
      if (step(n, block).heads_detail) details.push_back(step(n, block).heads_detail.get());
    }
    if (details.size() != targets_.size()) return std::nullopt;
    const auto count = static_cast<double>(details.size());
    ExplainHeads split;
    for (const HeadsDetail* detail : details) {
      split.bias += detail->bias / count;
      split.closure = std::max(split.closure, detail->closure);
      split.source_closure = std::max(split.source_closure, detail->source_closure);
    }
    for (std::size_t h = 0; h < details.front()->heads.size(); ++h) {
      split.list.push_back(head(h, written, details));
    }
    std::stable_sort(split.list.begin(), split.list.end(), [](const auto& a, const auto& b) {
      return std::abs(a.contribution) > std::abs(b.contribution);
    });
    return split;
  }

  ExplainHead head(std::size_t h, double written,
                   const std::vector<const HeadsDetail*>& details) const {
    const ModelConfig& config = context_.model.config();
    const auto count = static_cast<double>(details.size());
    ExplainHead result;
    result.head = static_cast<std::int64_t>(h);
    result.kv_head = result.head / (config.heads / config.kv_heads);
    std::map<std::string, ExplainSource> sources;
    double slot = 0;
    for (std::size_t n = 0; n < details.size(); ++n) {
      const HeadsDetail::Head& own = details[n]->heads[h];
      result.contribution += own.contribution / count;
      slot += own.slot / count;
      for (std::size_t j = 0; j < own.sources.size(); ++j) {
        const std::string name(context_.labels->position_class(finding_.traced[n].sequence,
                                                               static_cast<std::int64_t>(j)));
        ExplainSource& source = sources[name];
        source.source = name;
        source.tokens += 1 / count;
        source.contribution += own.sources[j] / count;
      }
    }
    result.share = written != 0 ? result.contribution / written : 0.0;
    if (slot != 0) sources["slot"] = {"slot", 0.0, slot, 0.0};
    for (auto& [name, source] : sources) {
      source.share = result.contribution != 0 ? source.contribution / result.contribution : 0.0;
      result.sources.push_back(source);
    }
    result.top_sources = top_sources(details.front()->heads[h]);
    return result;
  }

  std::vector<ExplainTopSource> top_sources(const HeadsDetail::Head& head) const {
    std::vector<std::size_t> order(head.sources.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::abs(head.sources[a]) > std::abs(head.sources[b]);
    });
    order.resize(std::min(order.size(), kTopSources));
    std::vector<ExplainTopSource> top;
    const std::int64_t sequence = finding_.traced.front().sequence;
    for (const std::size_t j : order) {
      const auto position = static_cast<std::int64_t>(j);
      top.push_back({position, context_.labels->token_text(sequence, position),
                     std::string(context_.labels->position_class(sequence, position)),
                     head.sources[j]});
    }
    return top;
  }

  static constexpr const char* kTooSmall =
      "this part of the write is too small at one of the traced scalars";

  const Context& context_;
  const observe::Origin& origin_;
  std::vector<std::size_t> targets_;
  ExplainFinding& finding_;
};

}  // namespace

std::uint64_t trace_bytes(const Plan& plan, std::int64_t targets) {
  std::int64_t rows = 0, longest = 0;
  for (const std::int64_t length : plan.lengths()) {
    rows += length;
    longest = std::max(longest, length);
  }
  return observe::origin_bytes(plan.model().config(), targets, rows, longest);
}

std::vector<ExplainFinding> trace_findings(const Context& context,
                                           std::vector<ExplainFinding> findings) {
  TraceTexts texts(context);
  std::int64_t longest = 0, all = 0;
  for (std::int64_t s = 0; s < context.count(); ++s) {
    longest = std::max(longest, context.length(s));
    all += context.length(s);
  }
  const std::int64_t budget = std::max(longest, all / kTraceShare);
  std::vector<std::vector<FindingValue>> followed;
  // One scalar of each finding comes before more of any.
  for (const std::int64_t count : {std::int64_t{1}, context.options.traced}) {
    followed.clear();
    for (const ExplainFinding& finding : findings) {
      followed.push_back(scalars_to_follow(finding.finding, count, budget, texts));
    }
  }
  std::vector<observe::OriginTarget> targets;
  std::vector<std::vector<std::size_t>> of_finding;
  for (std::size_t i = 0; i < findings.size(); ++i) {
    auto& own = of_finding.emplace_back();
    for (const FindingValue& value : followed[i]) {
      own.push_back(targets.size());
      targets.push_back({texts.number_of(value.sequence), value.position,
                         findings[i].finding.dimension, static_cast<double>(value.value)});
      findings[i].traced.push_back({value.sequence, value.position,
                                    context.labels->token_text(value.sequence, value.position),
                                    static_cast<double>(value.value)});
    }
  }
  if (targets.empty()) return findings;
  Plan plan = texts.plan();
  const std::uint64_t kept = trace_bytes(plan, std::ssize(targets));
  const observe::Origin& origin = observe::Origin::attach(plan, std::move(targets));
  run(plan, context.run_options(kept), context.progress);
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (!of_finding[i].empty()) FindingTrace(context, origin, of_finding[i], findings[i]).fill();
  }
  return findings;
}

std::vector<SuperWeight> super_weights_of(const Context& context,
                                          const observe::Extremes& extremes) {
  std::vector<SuperWeight> weights;
  observe::WeightLines lines(context.model);
  const auto& by_site = extremes.by_site();
  const ModelConfig& config = context.model.config();
  const SiteKind output_site =
      config.has_branch_norms() ? SiteKind::ln2_post_normalized : SiteKind::mlp_out;
  for (int block = 0; block < config.layers; ++block) {
    const auto input = by_site.find({SiteKind::mlp_post, block});
    const auto output = by_site.find({output_site, block});
    if (input == by_site.end() || output == by_site.end()) continue;
    if (input->second.sequence < 0 || output->second.sequence < 0) continue;
    SuperWeight next;
    next.layer = block + 1;
    next.weight = fmt::format("blocks.{}.mlp.W_out", block);
    if (!lines.has(next.weight)) continue;
    next.row = output->second.column;
    next.column = input->second.column;
    next.input = input->second.value;
    next.output = output->second.value;
    next.input_sequence = input->second.sequence;
    next.input_position = input->second.position;
    next.output_sequence = output->second.sequence;
    next.output_position = output->second.position;
    next.spike = std::abs(next.input) > context.options.spike &&
                 std::abs(next.output) > context.options.spike;
    next.value = lines.of_output(next.weight, next.row)[static_cast<std::size_t>(next.column)];
    weights.push_back(std::move(next));
    lines.clear();
  }
  return weights;
}

std::vector<MassiveWeight> massive_weights_of(const Context& context,
                                              const std::vector<ExplainFinding>& findings) {
  std::map<std::pair<int, std::int64_t>, MassiveWeight> rows;
  observe::WeightLines lines(context.model);
  for (const ExplainFinding& finding : findings) {
    if (!finding.birth || !finding.birth->mlp_split) continue;
    const int layer = finding.birth->layer;
    for (const ExplainNeuron& neuron : finding.birth->mlp_split->top) {
      if (std::abs(neuron.share) < kMassiveShare) continue;
      MassiveWeight& row = rows[{layer, neuron.neuron}];
      if (row.findings.empty()) {
        row = {layer, neuron.neuron, {}, neuron.value, neuron.share, {}};
        for (const char* name : {"W_gate", "W_in"}) {
          const std::string weight = fmt::format("blocks.{}.mlp.{}", layer - 1, name);
          if (lines.has(weight)) row.weights.push_back(weight);
        }
      }
      if (std::abs(neuron.share) > std::abs(row.share)) row.share = neuron.share;
      row.findings.push_back(finding.number);
    }
    lines.clear();
  }
  std::vector<MassiveWeight> list;
  for (auto& [key, row] : rows) list.push_back(std::move(row));
  return list;
}

}  // namespace massact::explain
