#include "train/vit.h"

#include <cmath>
#include <utility>

#include "massact/base/error.h"
#include "train/attention.h"

namespace massact::train {
namespace {

constexpr double kInitStd = 0.02;
constexpr std::int64_t kChannels = 3;

std::string block(const ModelConfig& c, std::int64_t layer) {
  return vit_prefix(c) + "encoder.layer." + std::to_string(layer) + ".";
}

void add_linear(std::vector<ParameterSpec>& list, const std::string& name, std::int64_t out,
                std::int64_t in, double std) {
  list.push_back({name + ".weight", {out, in}, std});
  list.push_back({name + ".bias", {out}});
}

void add_norm(std::vector<ParameterSpec>& list, const std::string& name, std::int64_t width) {
  list.push_back({name + ".weight", {width}, 0.0, 1.0});
  list.push_back({name + ".bias", {width}});
}

void add_block(const ModelConfig& c, const std::string& at, std::vector<ParameterSpec>& list) {
  const double residual_std = kInitStd / std::sqrt(2.0 * double(c.layers));
  const auto d = c.width;
  add_norm(list, at + "norm1", d);
  for (const char* name : {"query", "key", "value"}) {
    add_linear(list, at + "attention.attention." + name, d, d, kInitStd);
  }
  add_linear(list, at + "attention.output.dense", d, d, residual_std);
  list.push_back({at + "layer_scale1.lambda1", {d}, 0.0, c.layer_scale});
  add_norm(list, at + "norm2", d);
  add_linear(list, at + "mlp.fc1", c.mlp, d, kInitStd);
  add_linear(list, at + "mlp.fc2", d, c.mlp, residual_std);
  list.push_back({at + "layer_scale2.lambda1", {d}, 0.0, c.layer_scale});
}

/// The forward pass of one call.
class Vit {
 public:
  Vit(const ModelConfig& config, const Parameters& parameters) : c_(config), p_(parameters) {}

  /// B,3,S,S -> B,T,d
  at::Tensor embed(const at::Tensor& pixels) const {
    const std::string at = vit_prefix(c_) + "embeddings.";
    const auto B = pixels.size(0), side = c_.image_size / c_.patch, d = c_.width;
    // A convolution whose stride is its kernel is a linear map of each patch.
    const at::Tensor patches = pixels.view({B, kChannels, side, c_.patch, side, c_.patch})
                                   .permute({0, 2, 4, 1, 3, 5})
                                   .reshape({B, side * side, kChannels * c_.patch * c_.patch});
    const std::string projection = at + "patch_embeddings.projection.";
    at::Tensor x =
        at::linear(patches, p_.at(projection + "weight").view({d, -1}), p_.at(projection + "bias"));
    x = at::cat({p_.at(at + "cls_token").expand({B, 1, d}), x}, 1);
    x = x + p_.at(at + "position_embeddings");
    if (c_.registers == 0) return x;
    // Registers stand behind CLS and have no position.
    return at::cat({x.narrow(1, 0, 1), p_.at(at + "register_tokens").expand({B, c_.registers, d}),
                    x.narrow(1, 1, c_.patches())},
                   1);
  }

  at::Tensor block_output(at::Tensor x, std::int64_t layer, at::Tensor* pattern) const {
    const std::string at = block(c_, layer);
    x = x + attention(norm(x, at + "norm1"), at + "attention.", pattern) *
                p_.at(at + "layer_scale1.lambda1");
    const at::Tensor hidden = at::gelu(linear(norm(x, at + "norm2"), at + "mlp.fc1"));
    return x + linear(hidden, at + "mlp.fc2") * p_.at(at + "layer_scale2.lambda1");
  }

  at::Tensor classify(const at::Tensor& x) const {
    const at::Tensor h = norm(x, vit_prefix(c_) + "layernorm");
    const at::Tensor patches = h.narrow(1, 1 + c_.registers, c_.patches());
    return linear(at::cat({h.select(1, 0), patches.mean(1)}, 1), "classifier");
  }

 private:
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    return at::layer_norm(x, {c_.width}, p_.at(name + ".weight"), p_.at(name + ".bias"),
                          c_.norm_eps);
  }

  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    return at::linear(x, p_.at(name + ".weight"), p_.at(name + ".bias"));
  }

  at::Tensor attention(const at::Tensor& x, const std::string& at, at::Tensor* pattern) const {
    const auto B = x.size(0), T = x.size(1), H = c_.heads;
    const std::string inner = at + "attention.";
    const auto stacked = [&](const char* part) {
      return at::cat({p_.at(inner + "query." + part), p_.at(inner + "key." + part),
                      p_.at(inner + "value." + part)});
    };
    // One product for q, k and v: on small models the number of calls decides.
    const at::Tensor qkv =
        at::linear(x, stacked("weight"), stacked("bias")).view({B, T, 3 * H, c_.head_size()});
    const Projections p{qkv.narrow(2, 0, H), qkv.narrow(2, H, H), qkv.narrow(2, 2 * H, H)};
    return linear(attend(c_, p_, inner, p, x, pattern), at + "output.dense");
  }

  const ModelConfig& c_;
  const Parameters& p_;
};

}  // namespace

std::string vit_prefix(const ModelConfig& config) {
  return config.registers > 0 ? "dinov2_with_registers." : "dinov2.";
}

std::vector<ParameterSpec> vit_parameters(const ModelConfig& c) {
  const std::string embeddings = vit_prefix(c) + "embeddings.";
  const auto d = c.width;
  std::vector<ParameterSpec> list;
  list.push_back({embeddings + "cls_token", {1, 1, d}, kInitStd});
  list.push_back({embeddings + "position_embeddings", {1, 1 + c.patches(), d}, kInitStd});
  const std::string projection = embeddings + "patch_embeddings.projection.";
  list.push_back({projection + "weight", {d, kChannels, c.patch, c.patch}, kInitStd});
  list.push_back({projection + "bias", {d}});
  for (std::int64_t layer = 0; layer < c.layers; ++layer) add_block(c, block(c, layer), list);
  add_norm(list, vit_prefix(c) + "layernorm", d);
  add_linear(list, "classifier", c.vocab, 2 * d, kInitStd);
  if (c.registers > 0) {
    list.push_back({embeddings + "register_tokens", {1, c.registers, d}, kInitStd});
  }
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    for (auto& spec : attention_parameters(c, block(c, layer) + "attention.attention.")) {
      list.push_back(std::move(spec));
    }
  }
  return list;
}

at::Tensor vit_logits(const ModelConfig& config, const Parameters& parameters,
                      const at::Tensor& pixels, Trace* trace) {
  const auto size = config.image_size;
  require(pixels.dim() == 4 && pixels.size(1) == kChannels && pixels.size(2) == size &&
              pixels.size(3) == size,
          "model", "expected pixels of {0} x {0} RGB images", size);
  const Vit vit(config, parameters);
  at::Tensor x = vit.embed(pixels);
  if (trace != nullptr) trace->embedding = x.detach();
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    at::Tensor pattern;
    x = vit.block_output(x, layer, trace != nullptr ? &pattern : nullptr);
    if (trace != nullptr) {
      trace->residual.push_back(x.detach());
      trace->pattern.push_back(pattern);
    }
  }
  return vit.classify(x);
}

}  // namespace massact::train
