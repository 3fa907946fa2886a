#include "massact/io/adapter.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/io/json.h"
#include "massact/io/safetensors.h"
#include "massact/io/torch_checkpoint.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfigBytes = 1u << 20;
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::int64_t kMaxRank = 1 << 16;
constexpr std::int64_t kRightValues = 1 << 16;  // of a pair's right matrix, read at a time

// One weight's low-rank change: s · B · A, with A [r, inputs] and B [outputs, r].
struct LowRank {
  std::string a, b;  // tensors of the adapter
  std::int64_t rank = 0;
  float scale = 0;
  bool transposed = false;  // the base's tensor is [inputs, outputs]
};

class MergedWeights final : public WeightSource {
 public:
  MergedWeights(std::shared_ptr<const WeightSource> base,
                std::shared_ptr<const WeightSource> adapter,
                std::map<std::string, LowRank, std::less<>> changed,
                std::map<std::string, std::string, std::less<>> replaced)
      : base_(std::move(base)),
        adapter_(std::move(adapter)),
        changed_(std::move(changed)),
        replaced_(std::move(replaced)),
        tensors_(base_->tensors()) {
    for (TensorInfo& tensor : tensors_) {
      if (const auto change = changed_.find(tensor.name); change != changed_.end()) {
        tensor.bytes +=
            adapter_->info(change->second.a).bytes + adapter_->info(change->second.b).bytes;
        tensor.type = DType::f32;
        tensor.viewable = false;
        tensor.encoding += " + LoRA";
      } else if (const auto other = replaced_.find(tensor.name); other != replaced_.end()) {
        std::string name = tensor.name;
        tensor = adapter_->info(other->second);
        tensor.name = std::move(name);
      }
    }
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::string description() const override { return base_->description(); }
  std::uint64_t file_bytes() const override { return base_->file_bytes() + adapter_->file_bytes(); }

  TensorView view(std::string_view name) const override {
    require(!changed_.contains(name), name,
            "expected a tensor of plain elements, got one that an adapter changes (read it "
            "instead)");
    const auto other = replaced_.find(name);
    return other == replaced_.end() ? base_->view(name) : adapter_->view(other->second);
  }

  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    if (const auto other = replaced_.find(name); other != replaced_.end()) {
      return adapter_->read(other->second, first, count, out);
    }
    base_->read(name, first, count, out);
    if (const auto found = changed_.find(name); found != changed_.end()) {
      add(found->second, info(name).shape[1], first, count, out);
    }
  }

  void will_need(std::string_view name) const override {
    for_stored(name, [](const WeightSource& source, std::string_view n) { source.will_need(n); });
  }
  void release(std::string_view name) const override {
    for_stored(name, [](const WeightSource& source, std::string_view n) { source.release(n); });
  }

 private:
  // What a tensor is made of, in either file.
  template <typename Action>
  void for_stored(std::string_view name, const Action& action) const {
    if (const auto other = replaced_.find(name); other != replaced_.end()) {
      return action(*adapter_, other->second);
    }
    action(*base_, name);
    if (const auto found = changed_.find(name); found != changed_.end()) {
      action(*adapter_, found->second.a);
      action(*adapter_, found->second.b);
    }
  }

  // Rows [first, first + rows) of L [outputs, r], or of it as its transpose is stored.
  std::vector<float> left_rows(const LowRank& change, std::int64_t first, std::int64_t rows) const {
    std::vector<float> left(static_cast<std::size_t>(rows * change.rank));
    if (!change.transposed) {
      adapter_->read(change.b, first * change.rank, rows * change.rank, left.data());
      return left;
    }
    const std::int64_t all = adapter_->info(change.a).shape[1];
    std::vector<float> line(static_cast<std::size_t>(rows));
    for (std::int64_t k = 0; k < change.rank; ++k) {
      adapter_->read(change.a, k * all + first, rows, line.data());
      for (std::int64_t r = 0; r < rows; ++r) {
        left[static_cast<std::size_t>(r * change.rank + k)] = line[static_cast<std::size_t>(r)];
      }
    }
    return left;
  }

  // Columns [first, first + columns) of R [r, inputs], or of it as its transpose is stored.
  void right_columns(const LowRank& change, std::int64_t first, std::int64_t columns,
                     std::vector<float>& right) const {
    right.resize(static_cast<std::size_t>(change.rank * columns));
    if (!change.transposed) {
      const std::int64_t all = adapter_->info(change.a).shape[1];
      for (std::int64_t k = 0; k < change.rank; ++k) {
        adapter_->read(change.a, k * all + first, columns, right.data() + k * columns);
      }
      return;
    }
    std::vector<float> lines(right.size());
    adapter_->read(change.b, first * change.rank, columns * change.rank, lines.data());
    for (std::int64_t c = 0; c < columns; ++c) {
      for (std::int64_t k = 0; k < change.rank; ++k) {
        right[static_cast<std::size_t>(k * columns + c)] =
            lines[static_cast<std::size_t>(c * change.rank + k)];
      }
    }
  }

  // Adds elements [first, first + count) of s · L · R, L [rows, r] and R [r, columns], of which
  // only what these elements need is read: a few columns of R at a time.
  void add(const LowRank& change, std::int64_t columns, std::int64_t first, std::int64_t count,
           float* out) const {
    if (count == 0) return;
    const std::int64_t end = first + count;
    const std::int64_t first_row = first / columns, rows = (end - 1) / columns + 1 - first_row;
    const std::int64_t first_column = rows == 1 ? first % columns : 0;
    const std::int64_t end_column = rows == 1 ? first_column + count : columns;
    const std::int64_t width = std::max<std::int64_t>(1, kRightValues / change.rank);
    const std::vector<float> left = left_rows(change, first_row, rows);
    std::vector<float> right, sums(static_cast<std::size_t>(width));
    for (std::int64_t begin = first_column; begin < end_column; begin += width) {
      const std::int64_t taken = std::min(width, end_column - begin);
      right_columns(change, begin, taken, right);
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t start = (first_row + row) * columns + begin;
        const std::int64_t from = std::max<std::int64_t>(0, first - start);
        const std::int64_t to = std::min(taken, end - start);
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (std::int64_t k = 0; k < change.rank; ++k) {
          const float l = left[static_cast<std::size_t>(row * change.rank + k)];
          const float* r = right.data() + k * taken;
          for (std::int64_t c = from; c < to; ++c) sums[static_cast<std::size_t>(c)] += l * r[c];
        }
        for (std::int64_t c = from; c < to; ++c) {
          out[start + c - first] += change.scale * sums[static_cast<std::size_t>(c)];
        }
      }
    }
  }

  std::shared_ptr<const WeightSource> base_, adapter_;
  std::map<std::string, LowRank, std::less<>> changed_;
  std::map<std::string, std::string, std::less<>> replaced_;  // base's name -> adapter's
  std::vector<TensorInfo> tensors_;
};

// adapter_config.json, as far as it decides what is added.
class LoraConfig {
 public:
  explicit LoraConfig(const JsonObject& config) : config_(config) {
    const auto type = config.get<std::string>("peft_type");
    require(type == "LORA", config.where("peft_type"), "expected a LORA adapter, got '{}'", type);
    require(!config.get_or<bool>("use_dora", false), config.where("use_dora"),
            "expected plain LoRA, got DoRA, which rescales the weights (merge it with PEFT)");
    rank_ = config.get<std::int64_t>("r");
    require(rank_ >= 1 && rank_ <= kMaxRank, config.where("r"), "expected 1 to {}, got {}",
            kMaxRank, rank_);
    alpha_ = config.get<double>("lora_alpha");
    stabilised_ = config.get_or<bool>("use_rslora", false);
  }

  bool transposed() const { return config_.get_or<bool>("fan_in_fan_out", false); }
  std::int64_t rank() const { return rank_; }

  std::int64_t rank_of(std::string_view module) const {
    return pattern<std::int64_t>("rank_pattern", module, rank_);
  }
  float scale_of(std::string_view module, std::int64_t rank) const {
    const double alpha = pattern<double>("alpha_pattern", module, alpha_);
    const auto r = static_cast<double>(rank);
    return static_cast<float>(alpha / (stabilised_ ? std::sqrt(r) : r));
  }

 private:
  // An entry whose name is the module's, or the end of it.
  template <typename T>
  T pattern(std::string_view field, std::string_view module, T otherwise) const {
    if (!config_.has(field)) return otherwise;
    const JsonObject entries = config_.object(field);
    for (const std::string& key : entries.keys()) {
      require(key.find_first_of("^$*+?()[]{}|\\") == std::string::npos, entries.where(key),
              "expected the name of a module, got a regular expression");
      if (module == key || module.ends_with("." + key)) return entries.get<T>(key);
    }
    return otherwise;
  }

  JsonObject config_;
  std::int64_t rank_ = 0;
  double alpha_ = 0;
  bool stabilised_ = false;
};

std::shared_ptr<const WeightSource> open_adapter_weights(const fs::path& directory) {
  const fs::path safetensors = directory / "adapter_model.safetensors";
  const fs::path torch = directory / "adapter_model.bin";
  if (fs::exists(safetensors)) return open_safetensors(safetensors);
  require(fs::exists(torch), directory.string(),
          "expected adapter_model.safetensors or adapter_model.bin beside adapter_config.json, got "
          "neither");
  return open_torch_checkpoint(torch).weights;
}

// The base's name of a tensor: base models may be stored without their outer module's prefix.
std::string base_name(const WeightSource& base, const std::string& wanted,
                      const std::string& where) {
  if (base.find(wanted)) return wanted;
  for (const std::string_view prefix : {"model.", "transformer."}) {
    if (wanted.starts_with(prefix) && base.find(wanted.substr(prefix.size()))) {
      return wanted.substr(prefix.size());
    }
    if (base.find(std::string(prefix) + wanted)) return std::string(prefix) + wanted;
  }
  std::vector<std::string> names;
  for (const TensorInfo& tensor : base.tensors()) names.push_back(tensor.name);
  fail(where,
       "expected a weight of the base model, got {} (nearest there: {}; is this adapter for "
       "another model?)",
       wanted, join(nearest(wanted, names, 2)));
}

// Sorts the adapter's tensors: pairs A, B of changed weights, and whole replacements.
class AdapterReader {
 public:
  AdapterReader(const WeightSource& base, const WeightSource& adapter, const LoraConfig& config)
      : base_(base), adapter_(adapter), config_(config) {}

  std::map<std::string, LowRank, std::less<>> changed;
  std::map<std::string, std::string, std::less<>> replaced;

  void read() {
    for (const TensorInfo& tensor : adapter_.tensors()) {
      require(tensor.name.starts_with(kPrefix), adapter_.description(),
              "expected tensors called {}…, got {}", kPrefix, tensor.name);
      const std::string name = tensor.name.substr(kPrefix.size());
      if (take_pair(tensor, name, ".lora_A.weight", ".lora_B.weight", config_.transposed()))
        continue;
      if (take_pair(tensor, name, ".lora_embedding_A", ".lora_embedding_B", true)) continue;
      require(name.find(".lora_") == std::string::npos, adapter_.description(),
              "expected LoRA's A and B, got {}", tensor.name);
      replace(tensor, name);
    }
    require(!changed.empty(), adapter_.description(), "expected LoRA weights, got none");
  }

 private:
  // True if the name has one of the two endings; the pair is read when its A is met.
  bool take_pair(const TensorInfo& tensor, const std::string& name, std::string_view a_ending,
                 std::string_view b_ending, bool transposed) {
    const bool is_a = name.ends_with(a_ending);
    if (!is_a && !name.ends_with(b_ending)) return false;
    const std::string_view mine = is_a ? a_ending : b_ending, other = is_a ? b_ending : a_ending;
    const std::string module = name.substr(0, name.size() - mine.size());
    const std::string partner = std::string(kPrefix) + module + std::string(other);
    require(adapter_.find(partner) != nullptr, adapter_.description(),
            "expected {} with {}, got one of them", tensor.name, partner);
    if (is_a) add_pair(module, tensor, adapter_.info(partner), transposed);
    return true;
  }

  void add_pair(const std::string& module, const TensorInfo& a, const TensorInfo& b,
                bool transposed) {
    const std::string name = base_name(base_, module + ".weight", adapter_.description());
    const Shape& shape = base_.info(name).shape;
    const std::int64_t rank = config_.rank_of(module);
    require(shape.rank() == 2, adapter_.description(),
            "expected an adapter of a matrix, got one of {} {}", name, shape.to_string());
    const Shape inputs_outputs = transposed ? shape : Shape{shape[1], shape[0]};
    require(
        a.shape == Shape({rank, inputs_outputs[0]}) && b.shape == Shape({inputs_outputs[1], rank}),
        adapter_.description(),
        "expected A [{}, {}] and B [{}, {}] for {}, got {} and {} (an adapter for another model, "
        "or another r?)",
        rank, inputs_outputs[0], inputs_outputs[1], rank, name, a.shape.to_string(),
        b.shape.to_string());
    changed[name] = {a.name, b.name, rank, config_.scale_of(module, rank), transposed};
  }

  void replace(const TensorInfo& tensor, const std::string& name) {
    const std::string target = base_name(base_, name, adapter_.description());
    require(base_.info(target).shape == tensor.shape, adapter_.description(),
            "expected {} of shape {}, got {}", tensor.name, base_.info(target).shape.to_string(),
            tensor.shape.to_string());
    replaced[target] = tensor.name;
  }

  const WeightSource& base_;
  const WeightSource& adapter_;
  const LoraConfig& config_;
};

}  // namespace

MergedAdapter merge_adapter(std::shared_ptr<const WeightSource> base, const fs::path& directory) {
  const fs::path config_path = directory / "adapter_config.json";
  require(fs::exists(config_path), directory.string(),
          "expected a PEFT adapter's directory with adapter_config.json");
  const LoraConfig config(JsonObject::from_file(config_path, kMaxConfigBytes));
  auto adapter = open_adapter_weights(directory);
  AdapterReader reader(*base, *adapter, config);
  reader.read();
  MergedAdapter merged;
  merged.note =
      fmt::format("LoRA adapter {}: rank {}, {} weights changed, {} replaced", directory.string(),
                  config.rank(), reader.changed.size(), reader.replaced.size());
  merged.weights = std::make_shared<MergedWeights>(
      std::move(base), std::move(adapter), std::move(reader.changed), std::move(reader.replaced));
  return merged;
}

}  // namespace massact
