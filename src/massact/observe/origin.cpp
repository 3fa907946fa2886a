#include "massact/observe/origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace massact::observe {
namespace {

/// A write of less than this share of the target's value gets no detail.
constexpr double kMatters = 0.02;
constexpr std::size_t kNeuronsWithInputs = 8;
constexpr std::size_t kInputs = 4;

constexpr SiteKind kRowSites[] = {
    SiteKind::resid_pre,      SiteKind::ln1_out,        SiteKind::z,
    SiteKind::ln1_post_scale, SiteKind::attn_out,       SiteKind::resid_mid,
    SiteKind::ln2_out,        SiteKind::mlp_pre,        SiteKind::mlp_pre_linear,
    SiteKind::mlp_post,       SiteKind::ln2_post_scale, SiteKind::mlp_out,
    SiteKind::resid_post};

// Queries and keys as attention multiplies them.
SiteKind query_site(const ModelConfig& config) {
  return absence(SiteKind::rot_q, config).empty() ? SiteKind::rot_q : SiteKind::q;
}
SiteKind key_site(const ModelConfig& config) {
  return absence(SiteKind::rot_k, config).empty() ? SiteKind::rot_k : SiteKind::k;
}

// What the MLP's projections read.
SiteKind mlp_input_site(const ModelConfig& config) {
  if (!config.has_norms()) return SiteKind::resid_mid;
  return config.order == BlockOrder::parallel_shared ? SiteKind::ln1_out : SiteKind::ln2_out;
}

std::string weight_name(int block, const char* name) {
  return fmt::format("blocks.{}.{}", block, name);
}

// |whole − sum| relative to the largest term.
double closure_of(double whole, double sum, double largest) {
  return largest > 0 ? std::abs(whole - sum) / largest : 0.0;
}

std::vector<InputTerm> largest_inputs(const std::vector<float>& weights, const float* x) {
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto size = [&](std::size_t i) { return std::abs(weights[i] * x[i]); };
  const auto kept = std::min(kInputs, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
      [&](std::size_t a, std::size_t b) { return size(a) != size(b) ? size(a) > size(b) : a < b; });
  std::vector<InputTerm> terms;
  for (std::size_t n = 0; n < kept; ++n) {
    const std::size_t i = order[n];
    terms.push_back({static_cast<std::int64_t>(i), x[i], weights[i]});
  }
  return terms;
}

}  // namespace

std::uint64_t origin_bytes(const ModelConfig& config, std::int64_t targets, std::int64_t rows,
                           std::int64_t longest) {
  constexpr std::int64_t kBlocksThatMatter = 4;
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  constexpr auto kDouble = static_cast<std::int64_t>(sizeof(double));
  const std::int64_t projected = (config.heads + 2 * config.kv_heads) * config.head_size;
  const std::int64_t own = 10 * config.width + 3 * config.mlp_size + config.heads * longest;
  const std::int64_t details = 4 * config.mlp_size * kFloat + config.heads * longest * kDouble;
  return static_cast<std::uint64_t>(
      rows * projected * kFloat +
      targets * (own * kFloat + std::min(config.layers, kBlocksThatMatter) * details));
}

class Origin::Patterns final : public AttentionObserver {
 public:
  explicit Patterns(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  void choose(int, std::int64_t, std::span<std::uint8_t>) override {}

  void observe(const AttentionView& view, Threads& threads) override {
    const auto own = shared_->by_sequence.find(view.sequence);
    if (own == shared_->by_sequence.end()) return;
    Rows& rows = shared_->rows[view.sequence];
    const std::int64_t c = view.options.head_size, count = view.rows.count;
    const ConstFloatMatrix q(rows.queries.data(), count, view.options.heads * c);
    const ConstFloatMatrix k(rows.keys.data(), count, view.options.kv_heads * c);
    const ops::AttentionOptions own_options = view.options.of_sequence(view.rows);
    const std::int64_t columns = count + (own_options.has_slot() ? 1 : 0);
    for (const std::size_t i : own->second) {
      const std::int64_t position = shared_->targets[i].position;
      auto& heads = rows.pattern[position];
      if (!heads.empty()) continue;
      for (std::int64_t h = 0; h < view.options.heads; ++h) {
        heads[h].resize(static_cast<std::size_t>(columns));
      }
      threads.parallel_for(view.options.heads, [&](std::int64_t h, int) {
        const FloatMatrix row(heads.at(h).data(), 1, columns);
        ops::attention_scores(q, k, own_options, h, position, row);
        ops::attention_pattern(row, own_options);
      });
    }
  }

 private:
  std::shared_ptr<Shared> shared_;
};

Origin::Origin(const Model& model, std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)), lines_(model) {
  for (std::size_t i = 0; i < targets().size(); ++i) {
    steps_.emplace_back(static_cast<std::size_t>(model.config().layers));
  }
  if (model.config().moe.experts > 0) {
    mlp_reason_ = "the MLP is a mixture of experts: its neurons are not split";
  }
}

const Origin& Origin::attach(Plan& plan, std::vector<OriginTarget> targets) {
  const ModelConfig& config = plan.model().config();
  auto shared = std::make_shared<Shared>();
  shared->targets = std::move(targets);
  for (std::size_t i = 0; i < shared->targets.size(); ++i) {
    shared->by_sequence[shared->targets[i].sequence].push_back(i);
  }
  std::vector<Site> sites;
  std::vector<int> blocks;
  for (int block = 0; block < config.layers; ++block) {
    for (const SiteKind kind : kRowSites) {
      if (absence(Site{kind, block}, config).empty()) sites.push_back({kind, block});
    }
    for (const SiteKind kind : {query_site(config), key_site(config), SiteKind::v}) {
      sites.push_back({kind, block});
    }
    blocks.push_back(block);
  }
  plan.watch_attention(blocks, Patterns(shared));
  return plan.observe(sites, Origin(plan.model(), shared));
}

void Origin::observe(const SiteView& view, Threads& /*threads*/) {
  const auto own = shared_->by_sequence.find(view.sequence);
  if (own == shared_->by_sequence.end()) return;
  Rows& rows = shared_->rows[view.sequence];
  const ModelConfig& config = lines_.config();
  const SiteKind kind = view.site.kind;
  std::vector<float>* whole = kind == query_site(config) ? &rows.queries
                              : kind == key_site(config) ? &rows.keys
                              : kind == SiteKind::v      ? &rows.values
                                                         : nullptr;
  if (whole != nullptr) {
    whole->clear();
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      whole->insert(whole->end(), view.values.row(r), view.values.row(r) + view.values.cols);
    }
    return;
  }
  for (const std::size_t i : own->second) {
    const float* row = view.values.row(targets()[i].position);
    rows.at[kind][targets()[i].position].assign(row, row + view.values.cols);
  }
  if (kind == SiteKind::resid_post) finish(view.site.block, view.sequence);
}

const float* Origin::row_of(const Rows& rows, SiteKind kind, std::int64_t position) const {
  const auto site = rows.at.find(kind);
  if (site == rows.at.end()) return nullptr;
  const auto row = site->second.find(position);
  return row == site->second.end() ? nullptr : row->second.data();
}

// What a norm behind a branch (Gemma 2, OLMo 2: RMS norms) or LayerScale multiplies every term
// with; 1 without.
double Origin::branch_scale(int block, const BranchEnd& end, const OriginTarget& target,
                            const Rows& rows) const {
  const auto dimension = static_cast<std::size_t>(target.dimension);
  const std::vector<float> layer_scale = lines_.vector(weight_name(block, end.layer_scale));
  if (!layer_scale.empty()) return layer_scale.at(dimension);
  const float* divisor = row_of(rows, end.norm_scale, target.position);
  if (divisor == nullptr) return 1.0;
  const std::vector<float> weight = lines_.vector(weight_name(block, end.norm));
  const double offset = lines_.config().norm_weight_offset;
  const double factor = weight.empty() ? 1.0 : offset + weight.at(dimension);
  return factor / static_cast<double>(divisor[0]);
}

// The block is done with this sequence: its targets' steps, then the rows are forgotten.
void Origin::finish(int block, std::int64_t sequence) {
  const Rows& rows = shared_->rows.at(sequence);
  for (const std::size_t i : shared_->by_sequence.at(sequence)) {
    const OriginTarget& target = targets()[i];
    const auto at = [&](SiteKind kind) {
      const float* row = row_of(rows, kind, target.position);
      return row == nullptr ? 0.0 : static_cast<double>(row[target.dimension]);
    };
    OriginStep& step = steps_[i][static_cast<std::size_t>(block)];
    step.before = at(SiteKind::resid_pre);
    step.attention = at(SiteKind::attn_out);
    step.mlp = at(SiteKind::mlp_out);
    step.after = at(SiteKind::resid_post);
    step.closure =
        closure_of(step.after, step.before + step.attention + step.mlp,
                   std::max({std::abs(step.before), std::abs(step.attention), std::abs(step.mlp)}));
    const double matters = kMatters * std::abs(target.reference);
    if (std::max(std::abs(step.attention), std::abs(step.mlp)) < matters) continue;
    detail_mlp(block, target, rows, step);
    detail_heads(block, target, rows, step);
  }
  lines_.clear();
  shared_->rows.erase(sequence);
}

void Origin::detail_mlp(int block, const OriginTarget& target, const Rows& rows, OriginStep& step) {
  const float* post = row_of(rows, SiteKind::mlp_post, target.position);
  if (!lines_.has(weight_name(block, "mlp.W_out")) || post == nullptr) return;
  auto detail = std::make_unique<MlpDetail>();
  detail->weight = lines_.of_output(weight_name(block, "mlp.W_out"), target.dimension);
  const std::size_t count = detail->weight.size();
  const auto copy = [&](SiteKind kind) {
    const float* row = row_of(rows, kind, target.position);
    return row == nullptr ? std::vector<float>{} : std::vector<float>(row, row + count);
  };
  detail->value.assign(post, post + count);
  detail->gate = copy(SiteKind::mlp_pre);
  detail->up = copy(SiteKind::mlp_pre_linear);
  detail->bias = lines_.bias_at(weight_name(block, "mlp.b_out"), target.dimension);
  double sum = detail->bias, largest = std::abs(detail->bias);
  for (std::size_t n = 0; n < count; ++n) {
    sum += detail->contribution(n);
    largest = std::max(largest, std::abs(detail->contribution(n)));
  }
  detail->scale = branch_scale(block, {"mlp.layer_scale", "ln2_post.w", SiteKind::ln2_post_scale},
                               target, rows);
  detail->bias *= detail->scale;
  detail->closure = closure_of(step.mlp, sum * detail->scale, largest * std::abs(detail->scale));
  detail_inputs(block, target, rows, *detail);
  step.mlp_detail = std::move(detail);
}

// What makes the neurons that write most fire: the inputs of their gate and up projections.
void Origin::detail_inputs(int block, const OriginTarget& target, const Rows& rows,
                           MlpDetail& detail) {
  const float* x = row_of(rows, mlp_input_site(lines_.config()), target.position);
  if (x == nullptr) return;
  std::vector<std::size_t> order(detail.value.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto kept = std::min(kNeuronsWithInputs, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    [&](std::size_t a, std::size_t b) {
                      const double x_a = std::abs(detail.contribution(a));
                      const double x_b = std::abs(detail.contribution(b));
                      return x_a != x_b ? x_a > x_b : a < b;
                    });
  const bool gated = !detail.up.empty();
  for (std::size_t n = 0; n < kept; ++n) {
    NeuronInputs inputs{static_cast<std::int64_t>(order[n]), {}, {}};
    inputs.gate = largest_inputs(
        lines_.of_output(weight_name(block, gated ? "mlp.W_gate" : "mlp.W_in"), inputs.neuron), x);
    if (gated) {
      inputs.up =
          largest_inputs(lines_.of_output(weight_name(block, "mlp.W_in"), inputs.neuron), x);
    }
    detail.inputs.push_back(std::move(inputs));
  }
}

void Origin::detail_heads(int block, const OriginTarget& target, const Rows& rows,
                          OriginStep& step) {
  const ModelConfig& config = lines_.config();
  const float* z = row_of(rows, SiteKind::z, target.position);
  const auto patterns = rows.pattern.find(target.position);
  if (z == nullptr || patterns == rows.pattern.end()) return;
  auto detail = std::make_unique<HeadsDetail>();
  const auto weights = lines_.of_output(weight_name(block, "attn.W_O"), target.dimension);
  const std::int64_t c = config.head_size, shared = config.heads / config.kv_heads;
  const std::int64_t slots = config.has_slot() ? 1 : 0;
  double sum = lines_.bias_at(weight_name(block, "attn.b_O"), target.dimension);
  detail->bias = sum;
  double largest = std::abs(sum);
  for (std::int64_t h = 0; h < config.heads; ++h) {
    const float* w = weights.data() + h * c;
    const auto dot = [&](const float* x) {
      double result = 0;
      for (std::int64_t i = 0; i < c; ++i) result += static_cast<double>(x[i]) * w[i];
      return result;
    };
    HeadsDetail::Head head;
    head.contribution = dot(z + h * c);
    const std::vector<float>& p = patterns->second.at(h);
    double known = 0, head_largest = 0;
    const std::int64_t seen = config.causal ? target.position + 1 : std::ssize(p) - slots;
    for (std::int64_t j = 0; j < seen; ++j) {
      const float* v = rows.values.data() + (j * config.kv_heads + h / shared) * c;
      head.sources.push_back(static_cast<double>(p[static_cast<std::size_t>(slots + j)]) * dot(v));
      known += head.sources.back();
      head_largest = std::max(head_largest, std::abs(head.sources.back()));
    }
    // What no token gives: the slot's value (that of a window's padding), or a bias on values.
    const bool padded = config.vision.has_windows();
    const auto own = lines_.vector(weight_name(block, padded ? "attn.b_V" : "attn.eab_v"));
    if (!own.empty()) {
      const double weight = slots > 0 ? static_cast<double>(p[0]) : 1.0;
      head.slot = weight * dot(own.data() + h / shared * c);
      known += head.slot;
      head_largest = std::max(head_largest, std::abs(head.slot));
    }
    // A gate multiplies a head's whole output.
    if (config.variant == AttentionVariant::gated && known != 0) {
      const double gate = head.contribution / known;
      for (double& source : head.sources) source *= gate;
      known *= gate;
    }
    detail->source_closure =
        std::max(detail->source_closure, closure_of(head.contribution, known, head_largest));
    sum += head.contribution;
    largest = std::max(largest, std::abs(head.contribution));
    detail->heads.push_back(std::move(head));
  }
  detail->scale = branch_scale(block, {"attn.layer_scale", "ln1_post.w", SiteKind::ln1_post_scale},
                               target, rows);
  detail->bias *= detail->scale;
  for (HeadsDetail::Head& head : detail->heads) {
    head.contribution *= detail->scale;
    head.slot *= detail->scale;
    for (double& source : head.sources) source *= detail->scale;
  }
  detail->closure =
      closure_of(step.attention, sum * detail->scale, largest * std::abs(detail->scale));
  step.heads_detail = std::move(detail);
}

}  // namespace massact::observe
