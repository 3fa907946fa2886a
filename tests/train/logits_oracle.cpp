// libtorch's side of engine_parity_test.cpp, a program of its own (train/prepare_program.h says why
// the two sides cannot share a process):
//   train_logits_oracle random ARCHITECTURE OUT   random models of every variant: OUT/VARIANT
//   train_logits_oracle model DIR OUT             a model that is there
// In OUT, VARIANT.safetensors (or model.safetensors) holds "tokens" and "logits" of one text, or
// "pixels" and "logits" of one image.
#include <ATen/CPUGeneratorImpl.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "massact/base/error.h"
#include "train/checkpoint.h"
#include "train/model.h"
#include "train/tensor_files.h"

namespace {

using namespace massact::train;
namespace fs = std::filesystem;

constexpr std::int64_t kTokens = 21;

/// As `save_model` left it on disk, so that both sides read the same file.
void write_oracle(const fs::path& model_dir, const fs::path& out) {
  const at::NoGradGuard no_grad;
  const Model model = load_model(model_dir);
  const auto& config = model.config();
  at::Generator generator = at::detail::createCPUGenerator(5);
  if (config.architecture == Architecture::vit) {
    const at::Tensor pixels = at::randn({1, 3, config.image_size, config.image_size}, generator);
    return save_tensors(out, {{"pixels", pixels[0]}, {"logits", model.logits(pixels)}});
  }
  const at::Tensor tokens =
      at::randint(0, config.vocab, {1, std::min(kTokens, config.context)}, generator, at::kLong);
  save_tensors(out, {{"tokens", tokens[0].to(at::kFloat)}, {"logits", model.logits(tokens)[0]}});
}

/// Two blocks with sizes that divide nothing evenly, and parameters large enough that everything a
/// variant adds shows in the logits: fresh ones hardly differ between variants.
void save_random_model(Architecture architecture, Attention attention, std::int64_t registers,
                       const fs::path& dir) {
  const bool vit = architecture == Architecture::vit;
  ModelConfig c;
  c.architecture = architecture;
  c.attention = attention;
  c.layers = 2;
  c.heads = 6;
  c.kv_heads = architecture == Architecture::gpt2 ? 6 : 3;
  c.width = 60;
  c.mlp = vit ? 180 : 91;
  c.vocab = vit ? 3 : 131;
  c.context = 24;
  c.image_size = 20;
  c.patch = 5;
  c.registers = registers;
  if (vit) c.labels = {"ant", "bee", "cat"};
  settle(c);
  c.clip_gamma = -0.1;
  c.clip_eta = 1.05;
  Model model(c, 7);
  at::Generator generator = at::detail::createCPUGenerator(11);
  at::Tensor values = model.parameters().values();
  values.add_(at::randn(values.sizes(), generator, values.options()), 0.2);
  fs::create_directories(dir);
  save_model(model, dir, at::kFloat, 1);
}

void run(const std::string& kind, const std::string& what, const fs::path& out) {
  if (kind == "model") return write_oracle(what, out / "model.safetensors");
  const Architecture architecture = parse_architecture(what, "ARCHITECTURE");
  for (const auto attention : attention_variants(architecture)) {
    for (const std::int64_t registers : {0, 3}) {
      if (registers > 0 && architecture != Architecture::vit) continue;
      const std::string name = to_string(attention) + (registers > 0 ? "-registers" : "");
      save_random_model(architecture, attention, registers, out / name);
      write_oracle(out / name, out / (name + ".safetensors"));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
