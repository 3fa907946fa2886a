#include "train/monitor.h"

#include <nlohmann/json.hpp>

#include "train/attention.h"

namespace massact::train {
namespace {

constexpr std::int64_t kTop = 3;

/// `h` [B,T,d]; the text begins at position `text`.
void read_magnitudes(const at::Tensor& h, std::int64_t text, LayerReading& reading) {
  const auto T = h.size(1), d = h.size(2);
  const at::Tensor magnitude = h.abs().flatten(1);                   // B, T*d
  const at::Tensor medians = std::get<0>(at::median(magnitude, 1));  // lower medians
  const at::Tensor largest = std::get<0>(at::max(magnitude, 1));
  reading.median = medians.mean().item<double>();
  reading.ratio = (largest / medians).mean().item<double>();
  const at::Tensor indices = std::get<1>(at::topk(magnitude.flatten(), kTop)).cpu();
  const at::Tensor values = h.flatten();
  for (std::int64_t i = 0; i < kTop; ++i) {
    const auto at = indices[i].item<std::int64_t>();
    reading.top.push_back({values[at].item<double>(), at / (T * d), at / d % T - text, at % d});
  }
}

/// `pattern` [B,H,T,S]. Attention paid to column `column` by the text's queries after its first.
double attention_to(const at::Tensor& pattern, std::int64_t text, std::int64_t column) {
  return pattern.narrow(2, text + 1, pattern.size(2) - text - 1)
      .select(3, column)
      .mean()
      .item<double>();
}

/// What only images are read for: `input` and `output` [B,T,d] of a block, its `pattern`
/// [B,H,T,S].
void read_image_tokens(const ModelConfig& config, const at::Tensor& input, const at::Tensor& output,
                       const at::Tensor& pattern, LayerReading& reading) {
  const std::int64_t slot = has_slot(config.attention) ? 1 : 0;
  for (std::int64_t i = 0; i < config.registers; ++i) {
    reading.register_attention += attention_to(pattern, 0, slot + 1 + i);
  }
  const at::Tensor peak = input.abs().amax(-1).argmax(-1);  // B
  const auto B = pattern.size(0), H = pattern.size(1), T = pattern.size(2);
  reading.peak_attention = pattern.gather(3, (peak + slot).view({B, 1, 1, 1}).expand({B, H, T, 1}))
                               .mean()
                               .item<double>();
  const at::Tensor norms = output.norm(2, -1);  // B,T
  reading.norm_ratio = (norms.amax(1) / std::get<0>(at::median(norms, 1))).mean().item<double>();
}

}  // namespace

std::vector<LayerReading> monitor(const Model& model, const Batch& batch) {
  const at::NoGradGuard no_grad;
  Trace trace;
  model.logits(batch.inputs, &trace);
  const Attention variant = model.config().attention;
  const std::int64_t sink = variant == Attention::sink_token ? 1 : 0;
  const std::int64_t slot = has_slot(variant) ? 1 : 0;
  std::vector<LayerReading> readings;
  for (std::size_t i = 0; i < trace.residual.size(); ++i) {
    LayerReading reading;
    reading.layer = static_cast<std::int64_t>(i) + 1;
    read_magnitudes(trace.residual[i].to(at::kFloat), sink, reading);
    reading.first_token_attention = attention_to(trace.pattern[i], sink, sink + slot);
    if (sink + slot > 0) reading.slot_attention = attention_to(trace.pattern[i], sink, 0);
    if (model.config().architecture == Architecture::vit) {
      read_image_tokens(model.config(), i == 0 ? trace.embedding : trace.residual[i - 1],
                        trace.residual[i], trace.pattern[i], reading);
    }
    readings.push_back(std::move(reading));
  }
  return readings;
}

nlohmann::json to_json(const std::vector<LayerReading>& readings, bool images) {
  auto layers = nlohmann::json::array();
  for (const auto& r : readings) {
    auto top = nlohmann::json::array();
    for (const auto& peak : r.top) {
      top.push_back({{"value", peak.value},
                     {"sequence", peak.sequence},
                     {"position", peak.position},
                     {"dimension", peak.dimension}});
    }
    layers.push_back({{"layer", r.layer},
                      {"top", std::move(top)},
                      {"median", r.median},
                      {"ratio", r.ratio},
                      {"first_token_attention", r.first_token_attention},
                      {"slot_attention", r.slot_attention}});
    if (images) {
      layers.back().update({{"register_attention", r.register_attention},
                            {"peak_attention", r.peak_attention},
                            {"norm_ratio", r.norm_ratio}});
    }
  }
  return layers;
}

}  // namespace massact::train
