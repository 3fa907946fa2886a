#include "massact/model/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/error.h"
#include "massact/base/suggest.h"

namespace massact {
namespace {

// The size of two sides, "16" if they are equal.
std::string sides(std::int64_t height, std::int64_t width) {
  return height == width ? std::to_string(height) : fmt::format("{} x {}", height, width);
}

std::string rotary_in_words(const ModelConfig& config) {
  if (config.is_vision())
    return fmt::format("rotary by row and column, base {:g}", config.rope.base);
  constexpr std::string_view kScalings[] = {"",     "linear scaling",  "dynamic scaling",
                                            "YaRN", "Llama 3 scaling", "LongRoPE"};
  std::string text = "rotary";
  if (config.rope.dims < config.head_size) {
    text += fmt::format(" on {} of {} dimensions", config.rope.dims, config.head_size);
  }
  if (config.rope.style == ops::RopeStyle::interleaved) text += ", neighbouring pairs";
  if (config.rope.scaling != RopeScaling::none) {
    text += fmt::format(", {}", kScalings[static_cast<std::size_t>(config.rope.scaling)]);
  }
  if (config.local_rope) {
    text +=
        fmt::format(", base {:g} (local layers {:g})", config.rope.base, config.local_rope->base);
  }
  return text;
}

std::string heads_in_words(const ModelConfig& config) {
  if (config.kv_heads == 1) return fmt::format("{} heads share one key/value head", config.heads);
  return fmt::format("grouped queries: {} heads share {} key/value heads", config.heads,
                     config.kv_heads);
}

// What stands between the image and the first block.
std::string stem_in_words(const ModelConfig& config) {
  const VisionConfig& vision = config.vision;
  std::vector<std::string> parts = {fmt::format("patches of {} pixels in images of {}",
                                                sides(vision.patch_height, vision.patch_width),
                                                sides(vision.image_height, vision.image_width))};
  if (vision.class_tokens == 0) parts.emplace_back("no class token");
  if (vision.class_tokens == 2) parts.emplace_back("class and distillation token");
  if (vision.registers > 0) parts.push_back(fmt::format("{} registers", vision.registers));
  if (vision.stem_norm) parts.emplace_back("a norm before the first block");
  return join(parts);
}

std::string head_in_words(const HeadConfig& head) {
  constexpr std::string_view kPooling[] = {"",
                                           " of the class token",
                                           " of the last token",
                                           " of the end of the text",
                                           " of the patches' mean",
                                           " of class token and patches' mean",
                                           " of class and distillation token",
                                           " of each patch and those around it",
                                           " by attention"};
  const std::string_view read = kPooling[static_cast<std::size_t>(head.pooling)];
  switch (head.kind) {
    case HeadKind::tokens:
      return "";
    case HeadKind::none:
      return "no head";
    case HeadKind::classes:
      return fmt::format("{} classes{}", head.outputs, read);
    case HeadKind::embedding:
      return fmt::format("a vector of {}{}", head.outputs, read);
    case HeadKind::features:
      return fmt::format("a neck: {} features{}", head.outputs, read);
  }
  return "";
}

// Windows of patches.
std::string windows_in_words(const ModelConfig& config) {
  const std::vector<std::int64_t>& windows = config.vision.windows;
  const auto everywhere = std::count(windows.begin(), windows.end(), 0);
  const std::int64_t side = *std::max_element(windows.begin(), windows.end());
  return fmt::format("windows of {} x {} patches in {} of {} layers", side, side,
                     config.layers - everywhere, config.layers);
}

std::string qk_norm_in_words(QkNorm norm) {
  switch (norm) {
    case QkNorm::none:
      return "";
    case QkNorm::shared_by_heads:
      return "norms on queries and keys, head by head";
    case QkNorm::each_head:
      return "norms on queries and keys, each head with its own weights";
    case QkNorm::whole:
      return "norms on queries and keys, over all heads";
  }
  return "";
}

}  // namespace

std::string positions_in_words(const ModelConfig& config) {
  switch (config.positions) {
    case PositionKind::none:
      return "none";
    case PositionKind::learned:
      return config.position_offset == 0
                 ? "learned"
                 : fmt::format("learned, from row {}", config.position_offset);
    case PositionKind::rotary:
      return rotary_in_words(config);
    case PositionKind::alibi:
      return config.alibi.in_bf16 ? "ALiBi in bf16" : "ALiBi";
  }
  return "";
}

std::string norms_in_words(const ModelConfig& config) {
  constexpr std::string_view kPlaces[] = {"before each branch", "behind each sum",
                                          "behind each branch", "before and behind each branch"};
  std::string text = config.norm == NormKind::rms ? "RMS" : "LayerNorm";
  text += fmt::format(" {}", kPlaces[static_cast<std::size_t>(config.norm_placement)]);
  if (!config.norm_weight) return text + ", nothing learned";
  if (config.norm_weight_offset == 1.0f) text += ", times 1 + weight";
  if (config.norm == NormKind::layer && !config.norm_bias) text += ", no biases";
  if (!config.final_norm) text += ", none at the end";
  return text;
}

std::string block_in_words(const ModelConfig& config) {
  switch (config.order) {
    case BlockOrder::sequential:
      return "sequential";
    case BlockOrder::parallel:
      return "parallel, a norm each";
    case BlockOrder::parallel_shared:
      return "parallel behind one norm";
  }
  return "";
}

std::vector<std::string> attention_options(const ModelConfig& config) {
  std::vector<std::string> options;
  if (config.vision.has_windows()) {
    options.push_back(windows_in_words(config));
  } else if (!config.causal) {
    options.emplace_back("every token sees every other");
  }
  if (config.vision.relative_positions) {
    options.emplace_back("relative positions of rows and columns");
  }
  if (config.kv_heads != config.heads) options.push_back(heads_in_words(config));
  if (config.qk_norm != QkNorm::none) options.push_back(qk_norm_in_words(config.qk_norm));
  if (config.clip_qkv > 0) {
    options.push_back(
        fmt::format("queries, keys and values clamped to [-{0:g}, {0:g}]", config.clip_qkv));
  }
  if (config.attention_soft_cap > 0) {
    options.push_back(fmt::format("scores soft-capped at {:g}", config.attention_soft_cap));
  }
  const auto local = std::count_if(config.windows.begin(), config.windows.end(),
                                   [](std::int64_t window) { return window > 0; });
  if (local > 0) {
    options.push_back(fmt::format("sliding window of {} tokens in {} of {} layers",
                                  *std::max_element(config.windows.begin(), config.windows.end()),
                                  local, config.layers));
  }
  const double usual = 1.0 / std::sqrt(static_cast<double>(config.head_size));
  if (std::abs(config.attention_scale - usual) > 1e-6 * usual) {
    options.push_back(
        fmt::format("attention scale {:g} instead of 1/sqrt(head size)", config.attention_scale));
  }
  if (config.scale_by_inverse_layer)
    options.emplace_back("attention is divided by the layer's number");
  if (config.variant != AttentionVariant::standard) {
    options.push_back(fmt::format("attention variant: {}", name_of(config.variant)));
  }
  return options;
}

std::string mlp_in_words(const ModelConfig& config) {
  const MoeConfig& moe = config.moe;
  std::string text =
      moe.kind == ExpertKind::clamped_swiglu
          ? fmt::format("SwiGLU clamped at {:g}", moe.swiglu_limit)
          : fmt::format("{}{}", ops::name_of(config.activation), config.gated_mlp ? ", gated" : "");
  if (config.layer_scale) text += "; LayerScale";
  return moe.experts == 0 ? text : text + "; " + experts_in_words(config);
}

std::string experts_in_words(const ModelConfig& config) {
  const MoeConfig& moe = config.moe;
  const auto blocks = std::count(moe.blocks.begin(), moe.blocks.end(), true);
  std::string text =
      fmt::format("{} experts of width {}, {} per token", moe.experts, moe.size, moe.per_token);
  if (moe.shared_size > 0) text += fmt::format(", one of width {} for all", moe.shared_size);
  if (moe.router == RouterKind::choose_then_softmax) {
    text += ", softmax over the chosen";
  } else {
    text += moe.normalised ? ", chosen weights sum to 1" : ", softmax over all";
  }
  if (moe.biases) text += ", biases";
  if (moe.is_mixed()) text += fmt::format(" (in {} of {} layers)", blocks, config.layers);
  return text;
}

std::string biases_in_words(const ModelConfig& config) {
  const Biases& b = config.biases;
  std::vector<std::string> names;
  for (const auto& [has, name] : {std::pair{b.q, "q"},
                                  {b.k, "k"},
                                  {b.v, "v"},
                                  {b.attn_out, "attention output"},
                                  {b.mlp_in, "MLP input"},
                                  {b.mlp_out, "MLP output"},
                                  {b.unembed, "logits"}}) {
    if (has) names.emplace_back(name);
  }
  return join(names);
}

std::vector<std::string> end_options(const ModelConfig& config) {
  std::vector<std::string> options;
  if (config.is_vision()) options.push_back(stem_in_words(config));
  if (config.head.kind != HeadKind::tokens) options.push_back(head_in_words(config.head));
  if (config.embed_size > 0) {
    options.push_back(fmt::format("token vectors of {}, projected to {} and back",
                                  config.embed_size, config.width));
  }
  if (config.embed_scale != 1.0f) {
    options.push_back(fmt::format("embedding times {:g}", config.embed_scale));
  }
  if (config.embed_norm) options.emplace_back("a norm on the embedding");
  if (config.tied_embeddings) {
    options.emplace_back("embedding and unembedding are the same matrix");
  }
  if (config.logit_scale != 1.0f) {
    options.push_back(fmt::format("logits times {:g}", config.logit_scale));
  }
  if (config.logit_soft_cap > 0) {
    options.push_back(fmt::format("logits soft-capped at {:g}", config.logit_soft_cap));
  }
  return options;
}

}  // namespace massact
