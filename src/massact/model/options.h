// Which options of the generic block a configuration uses, in words: for `massact families`, its
// table in the documentation, and `massact inspect`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "massact/model/config.h"

namespace massact {

/// "rotary on 32 of 80 dimensions", "learned, from row 2", "ALiBi".
std::string positions_in_words(const ModelConfig& config);

/// "RMS before each branch, times 1 + weight".
std::string norms_in_words(const ModelConfig& config);

/// "sequential", "parallel behind one norm", "parallel, a norm each".
std::string block_in_words(const ModelConfig& config);

/// What attention has besides heads, positions and a softmax; one entry each.
std::vector<std::string> attention_options(const ModelConfig& config);

/// "silu, gated".
std::string mlp_in_words(const ModelConfig& config);
/// The mixture of experts of a model that has one.
std::string experts_in_words(const ModelConfig& config);

/// "q, k, v, MLP input"; empty: none.
std::string biases_in_words(const ModelConfig& config);

/// What happens between tokens and the first block, and behind the last one; one entry each.
std::vector<std::string> end_options(const ModelConfig& config);

}  // namespace massact
