// What several families' files share: readers of the usual config fields and the usual lines of
// weight tables. In all names `*` stands for the block and `@` for the file's prefix.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/json.h"
#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

using FieldNames = std::vector<std::string_view>;

/// What config.json calls a decoder's sizes: of several names the first one that is there counts.
/// No name: the size follows from the others.
struct SizeFields {
  FieldNames layers = {"num_hidden_layers"};
  FieldNames width = {"hidden_size"};
  FieldNames heads = {"num_attention_heads"};
  FieldNames kv_heads = {"num_key_value_heads"};  ///< absent: `default_kv_heads`
  FieldNames head_size = {"head_dim"};            ///< absent: `default_head_size`
  FieldNames mlp = {"intermediate_size"};         ///< absent: 4 d where `mlp_is_optional`
  FieldNames positions = {"max_position_embeddings"};

  std::int64_t default_kv_heads = 0;   ///< 0: as many as heads
  std::int64_t default_head_size = 0;  ///< 0: d / heads
  std::int64_t default_positions = 2048;
  bool mlp_is_optional = false;
  bool has_vocab = true;
};

/// A configuration with family, name ("model_type"), sizes, the scale 1/sqrt(c) and no windows.
ModelConfig read_sizes(const JsonObject& config, std::string_view family,
                       const SizeFields& fields = {});

/// A positive integer field no larger than `most`.
std::int64_t read_size(const JsonObject& config, std::string_view name,
                       std::int64_t most = std::int64_t{1} << 31);

/// The norms: LayerNorms come with biases. `field` holds the epsilon.
void read_norm(const JsonObject& config, NormKind kind, std::string_view field, float otherwise,
               ModelConfig& model);

/// Rotary positions with their scaling, as read_rope_config; dynamic scaling lengthens the texts
/// that the model takes.
void read_rotary(const JsonObject& config, ModelConfig& model, const RopeFields& fields = {});

/// ALiBi's slopes for `heads` heads (arXiv 2108.12409).
std::vector<float> alibi_slopes(std::int64_t heads);

/// Gives the blocks for which `slides(block)` is true a sliding window.
void set_windows(std::int64_t window, const std::function<bool(std::int64_t)>& slides,
                 ModelConfig& model);

/// The same by the entries "sliding_attention" of "layer_types"; without them, by `slides`.
void read_windows(const JsonObject& config, std::int64_t window,
                  const std::function<bool(std::int64_t)>& slides, ModelConfig& model);

/// Reads HF's "hidden_act"/"activation_function" names.
ops::Activation read_activation(const JsonObject& config, std::string_view field,
                                std::string_view otherwise);

/// Reads "massact": {"attention": …} of a config written by massact-train; standard if absent.
void read_attention_variant(const JsonObject& config, ModelConfig& model);

// ---- weight tables ----

/// Another name under which files hold the weight `canonical`; nothing if it is not in the table.
void also_named(std::string_view canonical, std::string source, WeightTable& table);

/// A norm's weight and bias, as far as the model's norms have them.
void add_norm(const ModelConfig& model, std::string canonical, std::string source,
              WeightTable& table);

/// A projection `canonical` ("blocks.*.attn.W_Q") of HF's layout [out, in], and with `bias` its
/// bias
/// ("blocks.*.attn.b_Q"); `source` without ".weight". `part`: which of the tensor's outputs.
void add_linear(std::string canonical, const std::string& source, Shape out_in, bool bias,
                WeightTable& table, FusedPart part = {});

/// Query, key and value projections of their own and the output projection, named `prefix` +
/// "q_proj", "k_proj", "v_proj" and `out`.
void add_attention(const ModelConfig& model, const std::string& prefix, const std::string& out,
                   WeightTable& table);

/// How a fused projection orders its outputs.
enum class FusedLayout : std::uint8_t {
  stacked,  ///< all queries, all keys, all values
  grouped   ///< per key head: its queries, the key, the value
};

/// The same with one tensor for queries, keys and values.
void add_fused_attention(const ModelConfig& model, FusedLayout layout, const std::string& qkv,
                         const std::string& out, WeightTable& table);

/// Norms on queries and keys, if the model has them.
void add_qk_norms(const ModelConfig& model, const std::string& q, const std::string& k,
                  WeightTable& table);

/// The MLP's projections; `gate` only where it is gated.
void add_mlp(const ModelConfig& model, const std::string& in, const std::string& out,
             WeightTable& table, const std::string& gate = "");

/// The output head `source`, which is the embedding if the config ties them.
void add_unembedding(const ModelConfig& model, WeightTable& table,
                     const std::string& source = "lm_head");

/// The variant's own tensors, whose names begin with `attention` ("@h.*.attn.").
void add_variant_weights(const ModelConfig& model, std::string_view attention, WeightTable& table);

}  // namespace massact
