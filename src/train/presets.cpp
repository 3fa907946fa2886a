#include "train/presets.h"

#include "massact/base/error.h"

namespace massact::train {
namespace {

/// The configurations in which massive activations form best of those tried (docs/eab.md): many
/// small steps, a high learning rate, weight decay, BOS always first.
Preset mini(std::string name, Architecture architecture, Attention attention) {
  Preset preset;
  preset.purpose = "a shipped model: " + to_string(architecture) + ", " + to_string(attention);
  preset.name = std::move(name);
  preset.model.architecture = architecture;
  preset.model.attention = attention;
  if (architecture == Architecture::gpt2) {
    preset.model.tied = true;
    preset.model.mlp = 512;
    preset.train.lr = 2e-3;
    preset.train.min_lr = 2e-4;
    preset.train.steps = 5000;
  }
  preset.train.bf16 = true;
  preset.train.checkpoint_interval = 500;
  return preset;
}

/// The vision models, found in the same way (docs/vision.md): twins with and without registers.
Preset mini_vit(std::string name, std::int64_t registers) {
  Preset preset;
  preset.purpose = fmt::format("a shipped model: vit, {} registers", registers);
  preset.name = std::move(name);
  preset.model.architecture = Architecture::vit;
  preset.model.width = 64;
  preset.model.heads = 4;
  preset.model.mlp = 256;
  preset.model.registers = registers;
  settle(preset.model);
  preset.train.bf16 = true;
  preset.train.steps = 10000;
  preset.train.batch = 16;
  preset.train.lr = 3e-3;
  preset.train.min_lr = 3e-4;
  preset.train.warmup = 300;
  preset.train.weight_decay = 0.5;
  preset.train.eval_sequences = 512;
  preset.train.eval_interval = 250;
  preset.train.checkpoint_interval = 500;
  return preset;
}

Preset smoke() {
  Preset preset;
  preset.name = kSmokePreset;
  preset.purpose = "does everything work? A small llama, about 3 minutes on 2 cores";
  preset.vocab_size = 512;
  preset.model.layers = 4;
  preset.model.width = 64;
  preset.model.heads = preset.model.kv_heads = 4;
  preset.model.mlp = 172;
  preset.train.steps = 1000;
  preset.train.warmup = 100;
  preset.train.weight_decay = 0.5;
  return preset;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      smoke(),
      mini("mini-llama", Architecture::llama, Attention::standard),
      mini("mini-llama-eab", Architecture::llama, Attention::eab),
      mini("mini-gpt2", Architecture::gpt2, Attention::standard),
      mini("mini-gpt2-eab", Architecture::gpt2, Attention::eab),
      mini_vit("mini-vit", 0),
      mini_vit("mini-vit-reg", 4),
  };
  return all;
}

const Preset& find_preset(std::string_view name) {
  std::string names;
  for (const auto& preset : presets()) {
    if (preset.name == name) return preset;
    if (!names.empty()) names += ", ";
    names += preset.name;
  }
  fail_usage("--preset", "expected one of {}, got \"{}\"", names, name);
}

}  // namespace massact::train
