#include "massact/study/scan_routing.h"

#include <algorithm>
#include <map>
#include <set>

namespace massact {
namespace {

FindingRouting routing_of_finding(const observe::Routing& routing, int block,
                                  const Finding& finding) {
  std::set<std::pair<std::int64_t, std::int64_t>> tokens;
  for (const FindingValue& value : finding.values) tokens.emplace(value.sequence, value.position);
  std::map<std::int64_t, std::int64_t> counts;
  for (const auto& [sequence, position] : tokens) {
    for (const std::int64_t expert : routing.experts_of(block, sequence, position)) {
      ++counts[expert];
    }
  }
  FindingRouting result;
  result.layer = block + 1;
  result.tokens = std::ssize(tokens);
  for (const auto& [expert, count] : counts) result.experts.push_back({expert, count});
  std::stable_sort(result.experts.begin(), result.experts.end(),
                   [](const ExpertCount& a, const ExpertCount& b) { return a.tokens > b.tokens; });
  return result;
}

}  // namespace

ScanRouting routing_of(const observe::Routing& routing, const MoeConfig& config,
                       const FindingSet& findings) {
  ScanRouting result;
  result.experts = config.experts;
  result.per_token = config.per_token;
  const std::vector<int> blocks = routing.blocks();
  for (const int block : blocks) {
    result.layers.push_back({block + 1, routing.load_of(block, config.experts)});
  }
  for (std::size_t i = 0; i < findings.findings.size(); ++i) {
    for (const int block : blocks) {
      result.findings.push_back(routing_of_finding(routing, block, findings.findings[i]));
      result.findings.back().finding = i;
    }
  }
  return result;
}

}  // namespace massact
