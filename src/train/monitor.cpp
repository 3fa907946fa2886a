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
    readings.push_back(std::move(reading));
  }
  return readings;
}

nlohmann::json to_json(const std::vector<LayerReading>& readings) {
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
  }
  return layers;
}

}  // namespace massact::train
