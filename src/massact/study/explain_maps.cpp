// Attention maps of one sequence, where somebody asks for them.
#include <map>
#include <set>

#include "massact/base/error.h"
#include "massact/study/explain_parts.h"

namespace massact::explain {
namespace {

// Keeps the asked heads' maps of its blocks, and the mean over all heads.
class MapCollector final : public Observer {
 public:
  MapCollector(std::set<std::pair<int, std::int64_t>> wanted, std::int64_t heads)
      : wanted_(std::move(wanted)), heads_(heads) {}

  void observe(const SiteView& view, Threads& /*threads*/) override {
    const auto add = [&](std::int64_t head, float factor) {
      auto& values = maps_[{view.site, head}];
      const std::int64_t cols = view.values.cols, rows = std::ssize(view.tokens);
      values.resize(static_cast<std::size_t>(rows * cols));
      for (std::int64_t r = 0; r < view.values.rows; ++r) {
        float* out = values.data() + (view.first_position + r) * cols;
        for (std::int64_t c = 0; c < cols; ++c) out[c] += factor * view.values(r, c);
      }
    };
    add(kMean, 1.0f / static_cast<float>(heads_));
    if (wanted_.contains({view.site.block, view.head})) add(view.head, 1.0f);
  }

  static constexpr std::int64_t kMean = -1;
  const std::vector<float>& at(SiteKind kind, int block, std::int64_t head) const {
    return maps_.at({Site{kind, block}, head});
  }

 private:
  std::set<std::pair<int, std::int64_t>> wanted_;
  std::int64_t heads_;
  std::map<std::pair<Site, std::int64_t>, std::vector<float>> maps_;
};

void check(const Context& context, const MapRequest& request) {
  const ModelConfig& config = context.model.config();
  if (request.layer < 1 || request.layer > config.layers) {
    fail_usage("--map", "expected a layer from 1 to {}, got {}", config.layers, request.layer);
  }
  if (request.head < 0 || request.head >= config.heads) {
    fail_usage("--map", "expected a head from 0 to {}, got {}", config.heads - 1, request.head);
  }
}

}  // namespace

std::vector<AttentionMap> draw_maps(const Context& context) {
  std::vector<AttentionMap> maps;
  if (context.options.maps.empty()) return maps;
  std::set<std::pair<int, std::int64_t>> wanted;
  std::set<int> blocks;
  for (const MapRequest& request : context.options.maps) {
    check(context, request);
    wanted.insert({request.layer - 1, request.head});
    blocks.insert(request.layer - 1);
  }
  std::vector<Site> sites;
  for (const int block : blocks) {
    sites.push_back({SiteKind::attn_scores, block});
    sites.push_back({SiteKind::pattern, block});
    wanted.insert({block, MapCollector::kMean});
  }
  const ModelConfig& config = context.model.config();
  const std::int64_t sequence = context.options.map_sequence;
  Plan plan = context.plan({{sequence, context.length(sequence)}});
  const auto& collector = plan.observe(sites, MapCollector(wanted, config.heads));
  run(plan, context.options.run, context.progress);
  for (const auto& [block, head] : wanted) {
    AttentionMap& map = maps.emplace_back();
    map.layer = block + 1;
    if (head != MapCollector::kMean) map.head = head;
    map.sequence = context.options.map_sequence;
    map.queries = std::ssize(plan.tokens(0));
    map.columns = map.queries + (config.has_slot() ? 1 : 0);
    map.slot = config.has_slot();
    map.logits = collector.at(SiteKind::attn_scores, block, head);
    map.probabilities = collector.at(SiteKind::pattern, block, head);
  }
  return maps;
}

}  // namespace massact::explain
