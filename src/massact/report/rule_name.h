// How results call what was looked for.
#pragma once

#include <string>

#include "massact/run/finding.h"

namespace massact {

/// "strict", "auto", "ABS,RATIO"; "largest" if no rule found anything and these are the largest
/// values there are (label not massive).
std::string rule_name(const FindingSet& set);

}  // namespace massact
