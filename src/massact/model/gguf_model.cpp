#include "massact/model/gguf_model.h"

#include <span>
#include <string_view>

#include "massact/base/error.h"
#include "massact/model/family.h"
#include "massact/model/gguf_config.h"

namespace massact {
namespace {

using Names = std::span<const std::pair<std::string_view, std::string_view>>;

// llama.cpp's names, the same for all architectures ("blocks.*." and "blk.*." left out).
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"embed.W_E", "token_embd.weight"},
    {"embed.ln.w", "token_embd_norm.weight"},
    {"embed.ln.b", "token_embd_norm.bias"},
    {"pos_embed.W_pos", "position_embd.weight"},
    {"ln1.w", "attn_norm.weight"},
    {"ln1.b", "attn_norm.bias"},
    {"ln1_post.w", "post_attention_norm.weight"},
    {"attn.W_O", "attn_output.weight"},
    {"attn.b_O", "attn_output.bias"},
    {"attn.q_norm.w", "attn_q_norm.weight"},
    {"attn.k_norm.w", "attn_k_norm.weight"},
    {"ln2.w", "ffn_norm.weight"},
    {"ln2.b", "ffn_norm.bias"},
    {"ln2_post.w", "post_ffw_norm.weight"},
    {"mlp.W_gate", "ffn_gate.weight"},
    {"mlp.W_in", "ffn_up.weight"},
    {"mlp.b_in", "ffn_up.bias"},
    {"mlp.W_out", "ffn_down.weight"},
    {"mlp.b_out", "ffn_down.bias"},
    {"attn.sinks", "attn_sinks.weight"},
    {"mlp.W_router", "ffn_gate_inp.weight"},
    {"mlp.b_router", "ffn_gate_inp.bias"},
    {"mlp.shared.W_gate", "ffn_gate_shexp.weight"},
    {"mlp.shared.W_in", "ffn_up_shexp.weight"},
    {"mlp.shared.W_out", "ffn_down_shexp.weight"},
    {"mlp.shared.W_sigmoid", "ffn_gate_inp_shexp.weight"},
    {"ln_final.w", "output_norm.weight"},
    {"ln_final.b", "output_norm.bias"},
    {"unembed.W_U", "output.weight"},
    {"unembed.b_U", "output.bias"},
};

// Falcon-40B's norm of the MLP has the name of other models' only norm.
constexpr std::pair<std::string_view, std::string_view> kTwoNormFalconNames[] = {
    {"ln1.w", "attn_norm_2.weight"},
    {"ln1.b", "attn_norm_2.bias"},
    {"ln2.w", "attn_norm.weight"},
    {"ln2.b", "attn_norm.bias"},
};

// Of one expert; the file holds those of all in one tensor.
constexpr std::pair<std::string_view, std::string_view> kExpertNames[] = {
    {"W_gate", "ffn_gate_exps.weight"}, {"b_gate", "ffn_gate_exps.bias"},
    {"W_in", "ffn_up_exps.weight"},     {"b_in", "ffn_up_exps.bias"},
    {"W_out", "ffn_down_exps.weight"},  {"b_out", "ffn_down_exps.bias"},
};

// gpt-oss's norm before the MLP.
constexpr std::pair<std::string_view, std::string_view> kGptOssNames[] = {
    {"ln2.w", "post_attention_norm.weight"},
};

std::string_view look_up(Names names, std::string_view canonical) {
  for (const auto& [known, name] : names)
    if (known == canonical) return name;
  return {};
}

// Turns the specs of a family's table into those of a GGUF file.
class GgufTable {
 public:
  GgufTable(const ModelConfig& model, const GgufSource& source)
      : model_(model), fused_(source.find("blk.0.attn_qkv.weight") != nullptr) {}

  WeightSpec translate(WeightSpec spec) const {
    constexpr std::string_view kBlock = "blocks.*.";
    constexpr std::string_view kExpert = "experts.*.";
    std::string_view rest = spec.canonical;
    if (rest.starts_with(kExpert)) return expert(rest.substr(kExpert.size()), std::move(spec));
    std::string prefix;
    if (rest.starts_with(kBlock)) {
      rest.remove_prefix(kBlock.size());
      prefix = "blk.*.";
    }
    if (spec.layout == WeightLayout::in_out) {  // GPT-2's matrices are stored as everybody's
      spec.shape = {spec.shape[1], spec.shape[0]};
      spec.layout = WeightLayout::out_in;
    }
    spec.sources = {prefix + source_of(rest, spec)};
    return spec;
  }

 private:
  // "7.W_gate": an entry of the first axis, [outputs, inputs] in all files.
  WeightSpec expert(std::string_view rest, WeightSpec spec) const {
    const std::int64_t E = model_.moe.experts, d = model_.width, f = model_.moe.size;
    const auto dot = rest.find('.');
    const std::string_view name = rest.substr(dot + 1);
    const bool out = name.ends_with("out");
    spec.expert = std::stoll(std::string(rest.substr(0, dot)));
    spec.sources = {"blk.*." + std::string(look_up(kExpertNames, name))};
    spec.layout = WeightLayout::out_in;
    spec.part = {};
    spec.shape = name.starts_with("W_") ? (out ? Shape{E, d, f} : Shape{E, f, d})
                                        : (out ? Shape{E, d} : Shape{E, f});
    return spec;
  }

  std::string source_of(std::string_view rest, WeightSpec& spec) const {
    std::string_view name;
    if (model_.family == "falcon" && model_.order == BlockOrder::parallel)
      name = look_up(kTwoNormFalconNames, rest);
    if (model_.family == "gpt_oss") name = look_up(kGptOssNames, rest);
    if (name.empty()) name = look_up(kNames, rest);
    // A gate and an input projection in one tensor have the input's name.
    if (rest == "mlp.W_gate" && !spec.part.is_whole()) name = look_up(kNames, "mlp.W_in");
    if (!name.empty()) return std::string(name);
    if (rest.starts_with("attn.q_norm.")) return head_norm("attn_q_norm", rest, model_.heads, spec);
    if (rest.starts_with("attn.k_norm."))
      return head_norm("attn_k_norm", rest, model_.kv_heads, spec);
    return projection(rest, spec);
  }

  // Norms of single heads ("attn.q_norm.3.w") are entries of one tensor's first axis.
  std::string head_norm(std::string_view name, std::string_view rest, std::int64_t heads,
                        WeightSpec& spec) const {
    constexpr std::size_t kBefore = std::string_view("attn.q_norm.").size();
    spec.shape = {heads, model_.head_size};
    spec.expert = std::stoll(std::string(rest.substr(kBefore)));
    return std::string(name) + ".weight";
  }

  // attn.W_Q, attn.b_K, …: by themselves or, one after the other, in one tensor.
  std::string projection(std::string_view rest, WeightSpec& spec) const {
    const bool is_weight = rest.starts_with("attn.W_");
    const std::string kind = is_weight ? ".weight" : ".bias";
    const char which = rest.back();
    const std::int64_t queries = model_.heads * model_.head_size;
    const std::int64_t keys = model_.kv_heads * model_.head_size;
    const std::int64_t count = which == 'Q' ? queries : keys;
    const std::int64_t outputs = fused_ ? queries + 2 * keys : count;
    spec.shape = is_weight ? Shape{outputs, model_.width} : Shape{outputs};
    spec.part = {};
    if (!fused_) {
      const char letter = static_cast<char>(which - 'A' + 'a');
      return std::string("attn_") + letter + kind;
    }
    spec.part.first = which == 'Q' ? 0 : which == 'K' ? queries : queries + keys;
    spec.part.count = count;
    return "attn_qkv" + kind;
  }

  const ModelConfig& model_;
  bool fused_;
};

WeightTable gguf_table(const WeightTable& hf, const ModelConfig& model, const GgufSource& source) {
  const GgufTable names(model, source);
  WeightTable table;
  for (const WeightSpec& spec : hf.specs) table.specs.push_back(names.translate(spec));
  table.ignore("rope_freqs.weight", "read with the configuration");
  table.ignore("rope_factors_*.weight", "read with the configuration");
  return table;
}

// Llama 3's scaling is stored as what its frequencies are divided by.
void apply_rope_factors(const GgufSource& source, RopeConfig& rope) {
  if (source.find("rope_freqs.weight") == nullptr) return;
  const std::int64_t count = source.info("rope_freqs.weight").shape.element_count();
  require(count == rope.dims / 2, source.metadata().where("rope_freqs.weight"),
          "expected {} factors (half the rotary size), got {}", rope.dims / 2, count);
  std::vector<float> factors(static_cast<std::size_t>(count));
  source.read("rope_freqs.weight", 0, count, factors.data());
  rope.scaling = RopeScaling::longrope;
  rope.short_factors.assign(factors.begin(), factors.end());
  rope.long_factors = rope.short_factors;
}

}  // namespace

GgufArchitecture read_gguf_architecture(const GgufSource& source) {
  const nlohmann::json config = gguf_config(source);
  const Family& family = find_family(config["model_type"].get<std::string>(),
                                     source.metadata().where("general.architecture"));
  GgufArchitecture result;
  result.config = family.read_config(JsonObject(config, source.description()));
  result.table = gguf_table(family.weights(result.config), result.config, source);
  // Conversions of these reorder the rows of W_Q and W_K for rotary on neighbouring pairs.
  const std::string& name = result.config.name;
  if (name == "llama" || name == "mixtral" || name == "olmo") {
    result.config.rope.style = ops::RopeStyle::interleaved;
  }
  result.config.moe.in_out = false;
  // Gemma's norms are stored as what they multiply by.
  result.config.norm_weight_offset = 0.0f;
  if (result.config.positions == PositionKind::rotary) {
    apply_rope_factors(source, result.config.rope);
  }
  return result;
}

}  // namespace massact
