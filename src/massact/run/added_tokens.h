// Which models of images can be given tokens that nobody trained.
#pragma once

#include <string>

#include "massact/model/config.h"

namespace massact {

/// What is wrong with this model for it, "expected … got …"; empty: it can be given tokens.
std::string no_added_tokens(const ModelConfig& config);

}  // namespace massact
