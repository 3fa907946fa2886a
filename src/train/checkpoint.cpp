#include "train/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "massact/base/error.h"
#include "massact/io/atomic_file.h"
#include "massact/io/json.h"
#include "train/hf_config.h"
#include "train/tensor_files.h"
#include "train/vit.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kKeep = 2;
constexpr std::uint64_t kMaxJsonBytes = 1 << 20;
constexpr const char* kFirstMoment = "exp_avg";
constexpr const char* kSecondMoment = "exp_avg_sq";

void write_json(const fs::path& path, const Json& json) {
  write_file_atomically(path, json.dump(2) + "\n");
}

/// What HF's classes have and ours have not, at zero: GPT-2's biases, DINOv2's mask token.
NamedTensors unused_tensors(const ModelConfig& c, at::ScalarType dtype) {
  NamedTensors tensors;
  const auto zeros = [&](const std::string& name, std::int64_t n) {
    tensors.emplace(name, at::zeros({n}, dtype));
  };
  if (c.architecture == Architecture::vit) {
    tensors.emplace(vit_prefix(c) + "embeddings.mask_token", at::zeros({1, c.width}, dtype));
  }
  if (c.architecture != Architecture::gpt2) return tensors;
  for (std::int64_t i = 0; i < c.layers; ++i) {
    const std::string at = "transformer.h." + std::to_string(i) + ".";
    zeros(at + "ln_1.bias", c.width);
    zeros(at + "attn.c_attn.bias", 3 * c.width);
    zeros(at + "attn.c_proj.bias", c.width);
    zeros(at + "ln_2.bias", c.width);
    zeros(at + "mlp.c_fc.bias", c.mlp);
    zeros(at + "mlp.c_proj.bias", c.width);
  }
  zeros("transformer.ln_f.bias", c.width);
  return tensors;
}

std::string step_name(std::int64_t step) { return fmt::format("step-{:08d}", step); }

/// Complete checkpoints of `run`, oldest first.
std::vector<fs::path> checkpoints(const fs::path& run) {
  std::vector<fs::path> found;
  if (!fs::is_directory(run)) return found;
  for (const auto& entry : fs::directory_iterator(run)) {
    if (entry.is_directory() && !entry.is_symlink() &&
        entry.path().filename().string().starts_with("step-")) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Points RUN/latest at `name`; the rename makes it atomic.
void link_latest(const fs::path& run, const std::string& name) {
  const fs::path temporary = run / ".latest";
  fs::remove(temporary);
  fs::create_directory_symlink(name, temporary);
  fs::rename(temporary, run / "latest");
}

/// Names the fields of `wanted` that are not so in `stored`: `lr 0.004 is not 0.001`.
std::string differences(const JsonObject& stored, const Json& wanted) {
  std::string list;
  for (const auto& [key, value] : wanted.items()) {
    const Json* found = stored.find(key);
    const Json other = found != nullptr ? *found : Json();
    if (other == value) continue;
    list +=
        fmt::format("{}{} {} is not {}", list.empty() ? "" : "; ", key, other.dump(), value.dump());
  }
  return list;
}

void restore(at::Tensor target, const NamedTensors& tensors, const char* name,
             const fs::path& path) {
  const auto found = tensors.find(name);
  require(found != tensors.end() && found->second.sizes() == target.sizes(), path.string(),
          "expected {} values of {} for this model", target.numel(), name);
  target.copy_(found->second);
}

}  // namespace

void save_model(const Model& model, const fs::path& dir, at::ScalarType dtype, int bos_id) {
  NamedTensors tensors = unused_tensors(model.config(), dtype);
  for (const auto& spec : model.parameters().specs()) {
    tensors.emplace(spec.name, model.parameters().at(spec.name).detach().cpu().to(dtype));
  }
  save_tensors(dir / "model.safetensors", tensors);
  write_json(dir / "config.json",
             hf_config(model.config(), dtype == at::kBFloat16 ? "bfloat16" : "float32", bos_id));
  if (model.config().architecture == Architecture::vit) {
    write_json(dir / "preprocessor_config.json", hf_preprocessor(model.config()));
  }
}

void load_parameters(Model& model, const fs::path& dir) {
  const at::NoGradGuard no_grad;
  const fs::path path = dir / "model.safetensors";
  NamedTensors stored = load_tensors(path);
  const NamedTensors zeros = unused_tensors(model.config(), at::kFloat);
  std::string problems;
  for (const auto& spec : model.parameters().specs()) {
    const auto found = stored.find(spec.name);
    if (found == stored.end()) {
      problems += " missing " + spec.name + ";";
    } else if (found->second.sizes() != at::IntArrayRef(spec.shape)) {
      problems += " misshaped " + spec.name + ";";
    } else {
      at::Tensor target = model.parameters().at(spec.name).detach();
      target.copy_(found->second);
      stored.erase(found);
    }
  }
  for (const auto& [name, tensor] : stored) {
    if (zeros.contains(name) && tensor.count_nonzero().item<std::int64_t>() == 0) continue;
    problems += " unexpected " + name + ";";
  }
  require(problems.empty(), path.string(), "expected this model's tensors, got:{}", problems);
}

Model load_model(const fs::path& dir, at::ScalarType dtype) {
  const auto config = JsonObject::from_file(dir / "config.json", kMaxJsonBytes);
  Model model(model_config_from_hf(config), 0, at::kCPU, dtype);
  load_parameters(model, dir);
  return model;
}

std::optional<fs::path> CheckpointStore::latest() const {
  const auto found = checkpoints(run_);
  if (found.empty()) return std::nullopt;
  return found.back();
}

void CheckpointStore::save(const Model& model, const AdamW& optimiser, const TrainerState& state,
                           int bos_id, const std::vector<fs::path>& tokenizer_files) const {
  const fs::path final_path = run_ / step_name(state.step);
  const fs::path temporary = run_ / (".writing-" + step_name(state.step));
  try {
    fs::remove_all(temporary);
    fs::create_directories(temporary);
    save_model(model, temporary, at::kFloat, bos_id);
    for (const auto& file : tokenizer_files) fs::copy_file(file, temporary / file.filename());
    save_tensors(temporary / "optimizer.safetensors",
                 {{kFirstMoment, optimiser.first_moment().cpu()},
                  {kSecondMoment, optimiser.second_moment().cpu()}});
    write_json(temporary / "trainer.json", {{"step", state.step},
                                            {"data", state.data_fingerprint},
                                            {"ranks", state.ranks},
                                            {"train", to_json(state.config)}});
    fs::remove_all(final_path);
    fs::rename(temporary, final_path);
    link_latest(run_, final_path.filename().string());
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    fail(final_path.string(), "expected to write a checkpoint, got: {} (earlier ones are kept)",
         error.what());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  const auto all = checkpoints(run_);
  for (std::size_t i = 0; i + kKeep < all.size(); ++i) fs::remove_all(all[i]);
}

void CheckpointStore::set_aside(std::int64_t step) const {
  const fs::path bad = run_ / step_name(step);
  if (!fs::exists(bad)) return;
  // The link first: a run that is killed here leaves one that points to something whole.
  fs::remove(run_ / "latest");
  for (const auto& other : checkpoints(run_)) {
    if (other != bad) link_latest(run_, other.filename().string());
  }
  const fs::path aside = run_ / ("failed-" + step_name(step));
  fs::remove_all(aside);
  fs::rename(bad, aside);
}

std::int64_t CheckpointStore::load(const fs::path& dir, const TrainerState& expected, Model& model,
                                   AdamW& optimiser) {
  const at::NoGradGuard no_grad;
  Json wanted = hf_config(model.config(), "float32", 0);
  wanted.erase("bos_token_id");  // follows from the data, which is compared below
  std::string problems =
      differences(JsonObject::from_file(dir / "config.json", kMaxJsonBytes), wanted);
  require(problems.empty(), dir.string(),
          "expected a checkpoint of the model that --resume was given, got another: {}", problems);
  const auto trainer = JsonObject::from_file(dir / "trainer.json", kMaxJsonBytes);
  const auto step = trainer.get<std::int64_t>("step");
  problems = differences(trainer.object("train"), to_json(expected.config));
  if (trainer.get<std::string>("data") != expected.data_fingerprint) problems += "; other data";
  if (trainer.get<std::int64_t>("ranks") != expected.ranks) problems += "; another number of ranks";
  require(problems.empty(), dir.string(),
          "expected a checkpoint of the same settings and data, got others: {}", problems);
  load_parameters(model, dir);
  const fs::path path = dir / "optimizer.safetensors";
  const NamedTensors moments = load_tensors(path);
  restore(optimiser.first_moment(), moments, kFirstMoment, path);
  restore(optimiser.second_moment(), moments, kSecondMoment, path);
  return step;
}

}  // namespace massact::train
