// Small models and data for the trainer's tests.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "train/config.h"
#include "train/data.h"
#include "train/data_header.h"

namespace massact::train {

/// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "massact-train-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Two layers, width 12, 4 heads of 3 (gpt2), width 16, 4 heads of 4 in 2 groups (llama), or width
/// 12, 4 heads of 3, 4 patches, 2 registers (vit).
inline ModelConfig tiny_model(Architecture architecture, Attention attention) {
  ModelConfig c;
  c.architecture = architecture;
  c.attention = attention;
  c.layers = 2;
  c.heads = 4;
  c.vocab = 23;
  if (architecture == Architecture::vit) {
    c.width = 12;
    c.mlp = 24;
    c.image_size = 16;
    c.patch = 8;
    c.registers = 2;
    c.labels = {"ant", "bee", "cat"};
    c.vocab = 3;
    c.layer_scale = 0.5;
    settle(c);
    return c;
  }
  c.context = 6;
  if (architecture == Architecture::gpt2) {
    c.width = 12;
    c.kv_heads = 4;
    c.mlp = 20;
    c.tied = true;
  } else {
    c.width = 16;
    c.kv_heads = 2;
    c.mlp = 20;
  }
  return c;
}

/// Two inputs of a tiny model, the same every time, with targets.
inline Batch tiny_batch(const ModelConfig& c, at::ScalarType dtype) {
  if (c.architecture == Architecture::vit) {
    const at::Tensor index = at::arange(2 * 3 * c.image_size * c.image_size, at::kDouble);
    const at::Tensor pixels = at::sin(index * 0.37) + at::cos(index * index * 0.011);
    return {pixels.view({2, 3, c.image_size, c.image_size}).to(dtype),
            at::tensor({2, 0}, at::kLong)};
  }
  return {at::tensor({1, 4, 9, 2, 22, 3, 3, 17, 0, 5}, at::kLong).view({2, 5}),
          at::tensor({4, 9, 2, 22, 8, 3, 17, 0, 5, 11}, at::kLong).view({2, 5})};
}

inline constexpr std::int64_t kSampleVocab = 300;

/// A prepared folder without a text: tokens of a source that is easy to learn something about.
inline std::filesystem::path sample_data(const TemporaryFolder& folder) {
  const std::filesystem::path dir = folder / "data";
  std::filesystem::create_directories(dir);
  std::vector<std::int32_t> tokens;
  std::uint32_t state = 1;
  for (int i = 0; i < 8000; ++i) {
    state = state * 1664525u + 1013904223u;
    const std::int32_t word = static_cast<std::int32_t>((state >> 16) % 18);
    tokens.push_back(10 + (i % 11 == 10 ? 50 : word));
  }
  DataHeader header;
  header.vocab_size = kSampleVocab;
  header.bos_id = 1;
  header.train = write_tokens(dir / "train.bin", {tokens.begin(), tokens.end() - 800}, 2);
  header.val = write_tokens(dir / "val.bin", {tokens.end() - 800, tokens.end()}, 2);
  header.tokenizer_files = {"tokenizer.model"};
  std::ofstream(dir / "tokenizer.model") << "stands for a tokenizer";
  header.write(dir / "data.json");
  return dir;
}

/// A run of some steps on `sample_data`'s data that takes a second.
inline TrainConfig tiny_run() {
  TrainConfig c;
  c.steps = 12;
  c.batch = 4;
  c.warmup = 3;
  c.eval_sequences = 4;
  c.eval_interval = 6;
  c.monitor_interval = 6;
  c.checkpoint_interval = 6;
  return c;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace massact::train
