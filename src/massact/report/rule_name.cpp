#include "massact/report/rule_name.h"

namespace massact {

std::string rule_name(const FindingSet& set) {
  const bool candidates = !set.findings.empty() && set.findings.front().label == Label::not_massive;
  return candidates ? "largest" : set.rule.to_string();
}

}  // namespace massact
