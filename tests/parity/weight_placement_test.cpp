// Where weights lie in their tensors, against what the engine reads of them: of every golden model.
#include <gtest/gtest.h>

#include "massact/model/model.h"
#include "parity/read_weight.h"
#include "paths.h"

namespace massact {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

// The elements of a weight one by one, row after row.
std::vector<float> placed_weight(const BoundWeights& weights, const std::string& name) {
  const WeightPlacement place = weights.placement(name);
  std::vector<float> values;
  for (std::int64_t r = 0; r < place.rows; ++r) {
    for (std::int64_t c = 0; c < place.columns; ++c) {
      float value = 0.0f;
      weights.source().read(weights.source_name(name), place.element(r, c), 1, &value);
      values.push_back(value);
    }
  }
  return values;
}

std::vector<fs::path> golden_models() {
  std::vector<fs::path> models;
  for (const char* folder : {"models", "vision", "gguf/models"}) {
    for (const auto& entry : fs::directory_iterator(golden_folder() / folder)) {
      // Meta's SAM is named by its file.
      if (entry.path().filename() != "sam-official") models.push_back(entry.path());
    }
  }
  return models;
}

// How many weights were compared.
std::size_t compare(const Model& model) {
  std::size_t count = 0;
  for (const std::string& name : model.weights().names("")) {
    EXPECT_EQ(placed_weight(model.weights(), name), read_weight(model.weights(), name))
        << model.path() << " " << name;
    ++count;
  }
  return count;
}

TEST(WeightPlacement, IsWhereTheEngineReads) {
  std::size_t count = 0;
  for (const fs::path& path : golden_models()) count += compare(open_model(path));
  EXPECT_GT(count, 3000u);
}

TEST(WeightPlacement, IsWhereTheEngineReadsWithAnAdapter) {
  for (const auto& [model, adapter] :
       {std::pair{"gpt2", "gpt2-lora"}, std::pair{"llama-gqa-tied", "llama-lora"}}) {
    const OpenOptions options{.tokenizer = {}, .adapter = golden_folder() / "adapters" / adapter};
    EXPECT_GT(compare(open_model(golden_folder() / "models" / model, options)), 10u);
  }
}

}  // namespace
}  // namespace massact
