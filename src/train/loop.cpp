#include "train/loop.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "massact/base/clock.h"
#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/base/units.h"
#include "train/autocast.h"
#include "train/checkpoint.h"
#include "train/data.h"
#include "train/metrics.h"
#include "train/model.h"
#include "train/monitor.h"
#include "train/optimiser.h"
#include "train/world.h"

namespace massact::train {
namespace {

constexpr std::int64_t kLogInterval = 10;  // steps averaged in one "train" record
constexpr std::int64_t kMonitorSequences = 8;
constexpr std::int64_t kEvalBatch = 16;

class Loop {
 public:
  Loop(const RunOptions& options, World& world, const Log& log)
      : config_(options.train),
        world_(world),
        log_(log),
        data_(options.data),
        model_(with_vocab(options.model, data_.vocab_size()), options.train.seed, options.device),
        optimiser_(config_, model_.parameters()),
        store_(options.out),
        device_(options.device),
        step_(start(options)) {
    data_.require_length(model_.config().context);
    // The first rank writes for all.
    if (world_.is_first()) metrics_.emplace(options.out / "metrics.jsonl", step_);
  }

  void run() {
    log_(fmt::format("{} parameters, {} tokens per step, {} training tokens",
                     format_count(static_cast<std::uint64_t>(model_.parameters().values().numel())),
                     tokens_per_step(),
                     format_count(static_cast<std::uint64_t>(data_.train_tokens()))));
    while (step_ < config_.steps) {
      const bool stop = train_step();
      report(stop);
      if (stop || due(config_.checkpoint_interval)) save();
      if (stop && step_ < config_.steps) throw Interrupted();
    }
  }

 private:
  static ModelConfig with_vocab(ModelConfig config, std::int64_t vocab) {
    config.vocab = vocab;
    return config;
  }

  std::int64_t tokens_per_step() const {
    return config_.batch * config_.accumulation * world_.size() * model_.config().context;
  }

  bool due(std::int64_t interval) const { return step_ % interval == 0 || step_ == config_.steps; }

  TrainerState state() const { return {step_, config_, data_.fingerprint(), world_.size()}; }

  /// Where to begin: 0, or the newest checkpoint's step.
  std::int64_t start(const RunOptions& options) {
    const auto latest = store_.latest();
    if (!options.resume) {
      require(!latest, options.out.string(),
              "expected a folder without checkpoints, got {} (--resume continues it)",
              latest ? latest->filename().string() : "");
      return 0;
    }
    if (!latest) {
      log_("no checkpoint to resume: starting at step 0");
      return 0;
    }
    const std::int64_t step = CheckpointStore::load(*latest, state(), model_, optimiser_);
    log_(fmt::format("resuming {} at step {}", latest->string(), step));
    return step;
  }

  Batch to_device(Batch batch) const {
    return {batch.inputs.to(device_), batch.targets.to(device_)};
  }

  at::Tensor forward(const Batch& batch) const {
    const Autocast autocast(device_, config_.bf16);
    return model_.loss(batch.inputs, batch.targets);
  }

  /// Forward and backward over this rank's micro-batches; returns their mean loss. The sequences
  /// of a step are the same for any number of ranks with the same product of sizes.
  double accumulate() {
    double total = 0;
    for (std::int64_t i = 0; i < config_.accumulation; ++i) {
      const std::int64_t first =
          ((step_ * config_.accumulation + i) * world_.size() + world_.rank()) * config_.batch;
      const Batch batch = to_device(data_.train_batch(config_.seed, first, config_.batch,
                                                      model_.config().context, config_.bos));
      const at::Tensor loss = forward(batch) / double(config_.accumulation);
      loss.backward();
      total += loss.item<double>();
    }
    return total;
  }

  [[noreturn]] void fail_diverged(const std::string& what) const {
    const auto kept = store_.latest();
    fail("training",
         "expected a finite loss, got {} (last good checkpoint: {}; try a lower --lr, a longer "
         "--warmup or a smaller --clip)",
         what, kept ? kept->string() : "none yet");
  }

  /// One optimiser step. Returns true if any rank was asked to stop.
  bool train_step() {
    model_.parameters().zero_gradients();
    // The loss and the wish to stop travel together, so that all ranks stop at the same step.
    const at::Tensor shared = at::tensor({accumulate(), interrupt_requested() ? 1.0 : 0.0},
                                         at::TensorOptions(at::kDouble));
    world_.average(shared);
    world_.average(model_.parameters().gradients());
    const double loss = shared[0].item<double>();
    const double norm = clip_gradients(model_.parameters(), config_.clip);
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
      fail_diverged(fmt::format("loss {} and gradient norm {} at step {}", loss, norm, step_ + 1));
    }
    optimiser_.update(learning_rate(config_, step_), step_);
    ++step_;
    loss_sum_ += loss;
    norm_max_ = std::max(norm_max_, norm);
    ++summed_;
    return shared[1].item<double>() > 0;
  }

  /// Records whatever is due. A checkpoint closes the running mean, so that a resumed run writes
  /// the same records as one that was not interrupted.
  void report(bool stop) {
    if (stop || due(kLogInterval) || due(config_.checkpoint_interval)) report_training();
    if (due(config_.eval_interval)) report_evaluation();
    if (due(config_.monitor_interval)) report_monitor();
  }

  void record(const nlohmann::json& line) {
    if (metrics_) metrics_->append(line);
  }

  void report_training() {
    const double tokens = double(summed_ * tokens_per_step()) / watch_.seconds();
    const double loss = loss_sum_ / double(summed_);
    record({{"kind", "train"},
            {"step", step_},
            {"loss", loss},
            {"lr", learning_rate(config_, step_ - 1)},
            {"grad_norm_max", norm_max_},
            {"tokens_per_s", tokens}});
    if (due(10 * kLogInterval)) {
      log_(fmt::format(
          "step {}/{}: loss {:.4f}, {:.0f} tokens/s, {} left", step_, config_.steps, loss, tokens,
          format_seconds(double((config_.steps - step_) * tokens_per_step()) / tokens)));
    }
    loss_sum_ = norm_max_ = 0;
    summed_ = 0;
    watch_.restart();
  }

  /// Mean loss and number of the first `count` held-out chunks (fewer in a short text).
  std::pair<double, std::int64_t> evaluate(std::int64_t count) const {
    const at::NoGradGuard no_grad;
    double total = 0;
    std::int64_t sequences = 0;
    while (sequences < count) {
      const Batch batch =
          to_device(data_.val_batch(sequences, std::min(kEvalBatch, count - sequences),
                                    model_.config().context, config_.bos));
      const auto n = batch.inputs.size(0);
      if (n == 0) break;
      total += forward(batch).item<double>() * double(n);
      sequences += n;
    }
    return {total / double(sequences), sequences};
  }

  void report_evaluation() {
    const auto [loss, sequences] = evaluate(config_.eval_sequences);
    record({{"kind", "eval"}, {"step", step_}, {"loss", loss}, {"sequences", sequences}});
    log_(fmt::format("step {}: validation loss {:.4f}", step_, loss));
    watch_.restart();
  }

  void report_monitor() {
    const Batch batch =
        to_device(data_.val_batch(0, kMonitorSequences, model_.config().context, config_.bos));
    const auto readings = monitor(model_, batch);
    record({{"kind", "monitor"}, {"step", step_}, {"layers", to_json(readings)}});
    const auto& peak =
        *std::max_element(readings.begin(), readings.end(),
                          [](const auto& a, const auto& b) { return a.ratio < b.ratio; });
    const auto& attended =
        *std::max_element(readings.begin(), readings.end(), [](const auto& a, const auto& b) {
          return a.first_token_attention < b.first_token_attention;
        });
    log_(fmt::format(
        "step {}: largest {:.1f} = {:.0f} x median {:.3f} at layer {} (position {}, dimension {}); "
        "first-token attention up to {:.2f} (layer {})",
        step_, peak.top[0].value, peak.ratio, peak.median, peak.layer, peak.top[0].position,
        peak.top[0].dimension, attended.first_token_attention, attended.layer));
    watch_.restart();
  }

  /// Only weights that give a finite loss: the step that destroyed them shows in the next one's
  /// loss, after they would have been saved.
  void save() {
    const double loss = evaluate(1).first;
    if (!std::isfinite(loss)) {
      fail_diverged(fmt::format("validation loss {} after step {}", loss, step_));
    }
    if (world_.is_first()) {
      store_.save(model_, optimiser_, state(), static_cast<int>(data_.bos_id()),
                  data_.tokenizer_files());
    }
    watch_.restart();
  }

  const TrainConfig config_;
  World& world_;
  const Log& log_;
  Dataset data_;
  Model model_;
  AdamW optimiser_;
  CheckpointStore store_;
  at::Device device_;
  std::int64_t step_;  // steps done
  std::optional<MetricsLog> metrics_;
  double loss_sum_ = 0;
  double norm_max_ = 0;
  std::int64_t summed_ = 0;
  Stopwatch watch_;
};

}  // namespace

void run_training(const RunOptions& options, const Log& log) {
  validate(options.train);
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  require(!error, options.out.string(), "expected a folder to write, got: {}", error.message());
  const auto world = join_world();
  const Log quiet = [](const std::string&) {};
  Loop(options, *world, world->is_first() ? log : quiet).run();
}

}  // namespace massact::train
