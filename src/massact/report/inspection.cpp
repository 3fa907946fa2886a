#include "massact/report/inspection.h"

#include <fmt/format.h>

#include <algorithm>

#include "massact/base/clock.h"
#include "massact/base/error.h"
#include "massact/model/options.h"
#include "massact/report/model_hash.h"
#include "massact/study/scan.h"

namespace massact {
namespace {

// Reading maps files through the page cache; a typical NVMe disk. Only for the estimate.
constexpr double kDiskBytesPerSecond = 1.5e9;
constexpr std::int64_t kProbeRows = 256;
constexpr std::int64_t kProbeLargestSide = 2048;
constexpr double kProbeSeconds = 0.05;

void add_weights(const BoundWeights& weights, Inspection& result) {
  for (const std::string& name : weights.names("")) {
    const WeightPlacement place = weights.placement(name);
    result.weights[weights.source_name(name)].push_back({name, place.rows, place.columns});
  }
  for (const TensorInfo& tensor : result.tensors) {
    if (!result.weights.contains(tensor.name)) continue;
    result.parameters += tensor.shape.element_count(tensor.name);
  }
}

std::vector<std::string> unusual(const ModelConfig& config) {
  std::vector<std::string> notes = attention_options(config);
  if (config.heads * config.head_size != config.width) {
    notes.insert(
        notes.begin(),
        fmt::format("heads x head size = {} x {} = {} differs from the width {}", config.heads,
                    config.head_size, config.heads * config.head_size, config.width));
  }
  const bool bare = !config.norm_weight || (config.norm == NormKind::layer && !config.norm_bias);
  if (config.norm_placement != NormPlacement::before || bare || config.norm_weight_offset != 0 ||
      !config.final_norm) {
    notes.push_back("norms: " + norms_in_words(config));
  }
  if (config.order != BlockOrder::sequential) {
    notes.push_back("attention and MLP: " + block_in_words(config));
  }
  if (config.moe.experts > 0) notes.push_back("mixture of experts: " + experts_in_words(config));
  const std::string biases = biases_in_words(config);
  if (!biases.empty()) notes.push_back("biases on " + biases);
  if (config.positions == PositionKind::rotary && config.rope.attention_factor != 1.0f) {
    notes.push_back(
        fmt::format("rotary positions scale attention by {:g}", config.rope.attention_factor));
  }
  const auto ends = end_options(config);
  notes.insert(notes.end(), ends.begin(), ends.end());
  return notes;
}

// Images of the model's usual size, of which only the number is known.
class ImagesOfOneSize final : public PixelSource {
 public:
  ImagesOfOneSize(const VisionConfig& vision, std::int64_t count)
      : vision_(vision), count_(count) {}
  std::int64_t count() const override { return count_; }
  std::int64_t channels() const override { return vision_.channels; }
  std::int64_t height() const override { return vision_.image_height; }
  std::int64_t width() const override { return vision_.image_width; }
  void read(std::int64_t index, std::span<float>) const override {
    fail(name(index), "expected nobody to read it");
  }
  std::string name(std::int64_t index) const override { return fmt::format("image {}", index); }

 private:
  const VisionConfig& vision_;
  std::int64_t count_;
};

// Keys that a query of a sequence of t tokens sees on average, over layers.
double keys_seen(const ModelConfig& c, double t) {
  if (c.causal) return t / 2;
  double sum = 0;
  for (std::int64_t block = 0; block < c.layers; ++block) {
    const auto window = static_cast<double>(c.vision.window_of(block));
    sum += window > 0 ? std::min(t, window * window) : t;
  }
  return sum / static_cast<double>(c.layers);
}

// Multiply-adds of a forward pass over the residual stream, as two operations each; no logits.
double arithmetic_of(const ModelConfig& c, std::int64_t sequences, std::int64_t seq_len) {
  const auto d = static_cast<double>(c.width);
  const auto q = static_cast<double>(c.heads * c.head_size);
  const auto kv = static_cast<double>(c.kv_heads * c.head_size);
  const auto f = static_cast<double>(c.mlp_size);
  const auto t = static_cast<double>(seq_len);
  const double dense = d * f * (c.gated_mlp ? 3 : 2);
  const MoeConfig& moe = c.moe;
  const double experts =
      d * static_cast<double>(3 * (moe.per_token * moe.size + moe.shared_size) + moe.experts);
  const auto sparse = static_cast<double>(std::count(moe.blocks.begin(), moe.blocks.end(), true));
  const double mlps = dense * (static_cast<double>(c.layers) - sparse) + experts * sparse;
  // Scores and values.
  const double attention =
      (d * q * 2 + d * kv * 2 + 2 * q * keys_seen(c, t)) * static_cast<double>(c.layers);
  return 2 * (attention + mlps) * t * static_cast<double>(sequences);
}

// How fast this machine multiplies a matrix like the model's, with the threads asked for.
double measured_speed(const ModelConfig& config, ops::Precision precision, Threads& threads) {
  const std::int64_t k = std::clamp<std::int64_t>(config.width, 16, kProbeLargestSide);
  const std::int64_t n = std::clamp<std::int64_t>(config.mlp_size, 16, kProbeLargestSide);
  const std::vector<float> weight(static_cast<std::size_t>(n * k), 0.5f);
  std::vector<float> x(static_cast<std::size_t>(kProbeRows * k), 0.25f);
  std::vector<float> y(static_cast<std::size_t>(kProbeRows * n));
  const ops::WeightSlice slice{
      DType::f32, reinterpret_cast<const std::byte*>(weight.data()), n, k, k, 1};
  const auto packed = ops::PackedMatrix::pack(std::span(&slice, 1), precision, threads);
  const FloatMatrix out(y.data(), kProbeRows, n);
  const ConstFloatMatrix in(x.data(), kProbeRows, k);
  ops::matmul(in, packed, out, threads);  // the first call sets the kernel up
  const Stopwatch clock;
  int runs = 0;
  do {
    ops::matmul(in, packed, out, threads);
    ++runs;
  } while (clock.seconds() < kProbeSeconds);
  return 2.0 * static_cast<double>(kProbeRows * n * k) * runs / clock.seconds();
}

}  // namespace

Inspection inspect(const Model& model, const InspectOptions& options) {
  const ModelConfig& config = model.config();
  Inspection result;
  result.path = model.path().string();
  result.hash = hash_of(model);
  result.config = config;
  result.tensors = model.weights().source().tensors();
  result.file_bytes = model.weights().source().file_bytes();
  add_weights(model.weights(), result);
  result.ignored = model.weights().ignored();
  result.files = model.notes();
  result.unusual = unusual(config);
  result.has_tokenizer = model.has_tokenizer();

  result.sequences = options.sequences;
  result.seq_len = config.is_vision() ? config.max_positions : options.seq_len;
  result.precision = effective_precision(model, options.run.precision);
  Threads threads(options.run.threads);
  result.threads = threads.count();
  const std::vector<std::int64_t> lengths(static_cast<std::size_t>(options.sequences),
                                          result.seq_len + config.prefix_rows());
  const ImagesOfOneSize images(config.vision, options.sequences);
  const observe::HiddenStates watched{.layers = config.layers + 1,
                                      .sequences = options.sequences,
                                      .rows = options.sequences * lengths.front(),
                                      .longest = lengths.front(),
                                      .width = config.width,
                                      .threads = threads.count()};
  result.memory = plan_memory(model, {.lengths = lengths,
                                      .blocks_run = config.layers,
                                      .precision = result.precision,
                                      .budget = options.run.memory,
                                      .kept = scan_bytes(config, watched, ScanOptions{}.top_k),
                                      .images = config.is_vision() ? &images : nullptr,
                                      .threads = threads.count()});
  result.arithmetic = arithmetic_of(config, options.sequences, result.seq_len);
  result.operations_per_second = measured_speed(config, result.precision, threads);
  const double reads = result.memory.resident ? 1 : static_cast<double>(result.memory.passes());
  const double reading = static_cast<double>(result.file_bytes) * reads / kDiskBytesPerSecond;
  result.seconds = std::max(result.arithmetic / result.operations_per_second, reading);
  return result;
}

}  // namespace massact
