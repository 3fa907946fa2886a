// What CLIP's and SigLIP's checkpoints have in common: two towers of the same blocks.
#pragma once

#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

/// Blocks of CLIP's and SigLIP's towers, and what such checkpoints hold for both.
void add_tower_blocks(const ModelConfig& model, WeightTable& table);
/// Embeddings and final norm of their text towers.
void add_tower_text(const ModelConfig& model, WeightTable& table);

}  // namespace massact
