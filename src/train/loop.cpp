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
#include "train/metrics.h"
#include "train/model.h"
#include "train/monitor.h"
#include "train/optimiser.h"
#include "train/source.h"
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
        data_(open_source(options.data, options.model, options.train)),
        model_(data_->fitted(options.model), options.train.seed, options.device),
        optimiser_(config_, model_.parameters()),
        store_(options.out),
        device_(options.device) {
    step_ = start(options);
    // The first rank writes for all.
    if (world_.is_first()) metrics_.emplace(options.out / "metrics.jsonl", step_);
  }

  void run() {
    log_(fmt::format("{} parameters, {} {} per step, {}",
                     format_count(static_cast<std::uint64_t>(model_.parameters().values().numel())),
                     units_per_step(), data_->unit(), data_->size()));
    while (step_ < config_.steps) {
      const bool stop = train_step();
      report(stop);
      if (stop || due(config_.checkpoint_interval)) save();
      if (stop && step_ < config_.steps) throw Interrupted();
    }
  }

 private:
  /// Tokens or images.
  std::int64_t units_per_step() const {
    return config_.batch * config_.accumulation * world_.size() * data_->units();
  }

  bool is_vision() const { return model_.config().architecture == Architecture::vit; }

  bool due(std::int64_t interval) const { return step_ % interval == 0 || step_ == config_.steps; }

  TrainerState state() const { return {step_, config_, data_->fingerprint(), world_.size()}; }

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

  struct Forward {
    at::Tensor logits;
    at::Tensor loss;
  };

  Forward forward(const Batch& batch) const {
    const Autocast autocast(device_, config_.bf16);
    const at::Tensor logits = model_.logits(batch.inputs);
    return {logits, cross_entropy(logits, batch.targets)};
  }

  /// Forward and backward over this rank's micro-batches; returns their mean loss. The sequences
  /// of a step are the same for any number of ranks with the same product of sizes.
  double accumulate() {
    double total = 0;
    for (std::int64_t i = 0; i < config_.accumulation; ++i) {
      const std::int64_t first =
          ((step_ * config_.accumulation + i) * world_.size() + world_.rank()) * config_.batch;
      const Batch batch = to_device(data_->train_batch(first, config_.batch));
      const at::Tensor loss = forward(batch).loss / double(config_.accumulation);
      loss.backward();
      total += loss.item<double>();
    }
    return total;
  }

  /// A checkpoint of the very weights that failed is not a good one.
  [[noreturn]] void fail_diverged(const std::string& what) const {
    if (world_.is_first()) store_.set_aside(step_);
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
    const double speed = double(summed_ * units_per_step()) / watch_.seconds();
    const double loss = loss_sum_ / double(summed_);
    record({{"kind", "train"},
            {"step", step_},
            {"loss", loss},
            {"lr", learning_rate(config_, step_ - 1)},
            {"grad_norm_max", norm_max_},
            {data_->unit() + "_per_s", speed}});
    if (due(10 * kLogInterval)) {
      log_(fmt::format("step {}/{}: loss {:.4f}, {:.0f} {}/s, {} left", step_, config_.steps, loss,
                       speed, data_->unit(),
                       format_seconds(double((config_.steps - step_) * units_per_step()) / speed)));
    }
    loss_sum_ = norm_max_ = 0;
    summed_ = 0;
    watch_.restart();
  }

  void report_evaluation() {
    const at::NoGradGuard no_grad;
    double total = 0, right = 0;
    std::int64_t sequences = 0, targets = 0;
    while (sequences < config_.eval_sequences) {
      const Batch batch = to_device(
          data_->val_batch(sequences, std::min(kEvalBatch, config_.eval_sequences - sequences)));
      const auto n = batch.inputs.size(0);
      if (n == 0) break;
      const auto [logits, mean_loss] = forward(batch);
      total += mean_loss.item<double>() * double(n);
      right += (logits.argmax(-1) == batch.targets).sum().item<double>();
      targets += batch.targets.numel();
      sequences += n;
    }
    const double loss = total / double(sequences);
    if (!std::isfinite(loss)) {
      fail_diverged(fmt::format("validation loss {} at step {}", loss, step_));
    }
    const double top1 = right / double(targets);
    record({{"kind", "eval"},
            {"step", step_},
            {"loss", loss},
            {"top1", top1},
            {"sequences", sequences}});
    log_(fmt::format("step {}: validation loss {:.4f}, top-1 {:.1f} %", step_, loss, 100 * top1));
    watch_.restart();
  }

  void report_monitor() {
    const Batch batch = to_device(data_->val_batch(0, kMonitorSequences));
    const auto readings = monitor(model_, batch);
    record({{"kind", "monitor"}, {"step", step_}, {"layers", to_json(readings, is_vision())}});
    const auto& peak =
        *std::max_element(readings.begin(), readings.end(),
                          [](const auto& a, const auto& b) { return a.ratio < b.ratio; });
    const auto most = [&](double LayerReading::*what) {
      const auto& layer =
          *std::max_element(readings.begin(), readings.end(),
                            [&](const auto& a, const auto& b) { return a.*what < b.*what; });
      return fmt::format("{:.2f} (layer {})", layer.*what, layer.layer);
    };
    std::string line = fmt::format(
        "step {}: largest {:.1f} = {:.0f} x median {:.3f} at layer {} (position {}, dimension {}); "
        "first-token attention up to {}",
        step_, peak.top[0].value, peak.ratio, peak.median, peak.layer, peak.top[0].position,
        peak.top[0].dimension, most(&LayerReading::first_token_attention));
    if (is_vision()) {
      line += fmt::format(", registers {}, largest token {}, its norm {} x median",
                          most(&LayerReading::register_attention),
                          most(&LayerReading::peak_attention), most(&LayerReading::norm_ratio));
    }
    log_(line);
    watch_.restart();
  }

  void save() {
    if (world_.is_first()) {
      store_.save(model_, optimiser_, state(), data_->bos_id(), data_->files());
    }
    watch_.restart();
  }

  const TrainConfig config_;
  World& world_;
  const Log& log_;
  std::unique_ptr<Source> data_;
  Model model_;
  AdamW optimiser_;
  CheckpointStore store_;
  at::Device device_;
  std::int64_t step_ = 0;  // steps done
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
