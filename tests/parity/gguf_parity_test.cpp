// GGUF models (tools/golden/make_gguf_models.py) against the golden values of the HF models they
// were made from.
#include <gtest/gtest.h>

#include "parity/collect.h"
#include "parity/compare.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using namespace testing_support;

Model gguf_model(const std::string& name) {
  return open_model(golden_folder() / "gguf" / "models" / (name + ".gguf"));
}

class GgufParity : public testing::TestWithParam<std::string> {};

TEST_P(GgufParity, SitesAreThoseOfTheHfModel) {
  const Model model = gguf_model(GetParam());
  const auto golden =
      open_safetensors(golden_folder() / "models" / GetParam() / "sites.safetensors");
  // The llama architecture stores a head's query and key dimensions in another order.
  const bool reordered = model.config().rope.style == ops::RopeStyle::interleaved;
  const auto got = collect(model, golden_tokens(*golden), all_sites(model.config()),
                           {.precision = ops::Precision::f32});
  std::size_t compared = 0;
  for (const auto& info : golden->tensors()) {
    const auto slash = info.name.find('/');
    const std::string site = info.name.substr(slash + 1);
    if (site == "tokens") continue;
    const SiteKind kind = parse_site(site, model.config()).kind;
    const bool head_space = kind == SiteKind::q || kind == SiteKind::k || kind == SiteKind::rot_q ||
                            kind == SiteKind::rot_k;
    if (reordered && head_space) continue;
    const auto expected = to_float_tensor(golden->view(info.name));
    const std::vector<float> values(expected.floats().begin(), expected.floats().end());
    const std::int64_t rows =
        is_attention_map(kind) ? info.shape[0] * info.shape[1] : info.shape[0];
    EXPECT_EQ(compare_vectors(got.at({std::stoll(info.name.substr(3, slash - 3)), site}), values,
                              static_cast<std::int64_t>(values.size()) / rows),
              "")
        << info.name;
    ++compared;
  }
  EXPECT_GT(compared, 20u);
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufParity,
                         testing::Values("llama-gqa-tied", "llama-rope-llama3", "qwen2-window-off",
                                         "gpt2", "bloom", "bloom-6-heads", "falcon-7b",
                                         "falcon-11b", "falcon-40b", "gemma", "gemma2", "gemma3",
                                         "gpt-neox", "gpt-neox-sequential", "mpt", "olmo", "olmo2",
                                         "phi2", "mixtral", "qwen2-moe", "qwen3-moe", "gpt-oss",
                                         "phi3-longrope", "phi3-window", "stablelm",
                                         "stablelm-parallel"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The format does not say these families' windows: the HF model without them gives the same.
class GgufWithoutWindow : public testing::TestWithParam<std::string> {};

TEST_P(GgufWithoutWindow, LogitsAreThoseOfTheHfModel) {
  const auto folder = golden_folder() / "models" / GetParam();
  const io_test::TemporaryDirectory directory;
  std::filesystem::copy(folder / "model.safetensors", directory / "model.safetensors");
  auto config = parse_json(io_test::read_all(folder / "config.json"), "config.json");
  config["sliding_window"] = nullptr;
  directory.write("config.json", config.dump());
  const Model hf = open_model(directory.path());
  const Model gguf = gguf_model(GetParam());
  const auto tokens = golden_tokens(*open_safetensors(folder / "sites.safetensors"));
  const std::vector<Site> logits = {{SiteKind::logits}};
  const RunOptions f32{.precision = ops::Precision::f32};
  const auto expected = collect(hf, tokens, logits, f32);
  const auto got = collect(gguf, tokens, logits, f32);
  for (const auto& [key, values] : expected) {
    EXPECT_EQ(compare_vectors(got.at(key), values, hf.config().vocab), "") << key.first;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufWithoutWindow, testing::Values("qwen3", "starcoder2"));

// Quantised weights and the tokenizer inside the file: the same texts, the same massive values.
TEST(GgufPlanted, TheQuantisedModelHasTheSameMassiveActivations) {
  const Model quantised = gguf_model("planted-q8");
  const Model original = open_model(golden_folder() / "models" / "planted");
  const std::string text = "The miller said nothing. There was no light in the house.";
  const auto ids = original.tokenizer().encode(text).ids;
  EXPECT_EQ(quantised.tokenizer().encode(text).ids, ids);
  EXPECT_EQ(quantised.tokenizer().adds_bos(), original.tokenizer().adds_bos());
  Plan::Tokens tokens = {*original.tokenizer().bos()};
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  const std::vector<Site> sites = {{SiteKind::resid_post, 2}};
  const RunOptions f32{.precision = ops::Precision::f32};
  const auto a = collect(original, {tokens}, sites, f32).at({0, name_of(sites[0])});
  const auto b = collect(quantised, {tokens}, sites, f32).at({0, name_of(sites[0])});
  std::size_t massive = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::abs(a[i]) < 100) continue;
    ++massive;
    EXPECT_NEAR(b[i], a[i], 0.02 * std::abs(a[i])) << i;
  }
  EXPECT_EQ(massive, 6u);  // two dimensions of the start token and of two full stops
}

TEST(GgufPlanted, MayHaveNoTokenizer) {
  std::string file = io_test::read_all(golden_folder() / "gguf" / "models" / "planted-q8.gguf");
  const std::string key = "tokenizer.ggml.model";
  const std::size_t value = file.find("gpt2", file.find(key));
  ASSERT_EQ(value, file.find(key) + key.size() + 12);  // behind its type and length
  file.replace(value, 4, "none");
  const io_test::TemporaryDirectory directory;
  const Model model = open_model(directory.write("none.gguf", file));
  EXPECT_FALSE(model.has_tokenizer());
  EXPECT_EQ(collect(model, {{1, 2, 3}}, {{SiteKind::resid_post, 0}}).size(), 1u);
}

}  // namespace
}  // namespace massact
