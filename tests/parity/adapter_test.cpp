// Models with a LoRA adapter merged while their weights are read, against HF with the weights
// merged by plain arithmetic (tools/golden/make_adapters.py); and adapters that do not fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "massact/base/error.h"
#include "massact/io/json.h"
#include "parity/collect.h"
#include "parity/compare.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::HasSubstr;
namespace fs = std::filesystem;

fs::path adapter(const std::string& name) { return golden_folder() / "adapters" / name; }
fs::path base(const std::string& name) { return golden_folder() / "models" / name; }

class AdapterParity : public testing::TestWithParam<std::string> {};

TEST_P(AdapterParity, SitesOfTheMergedModel) {
  const fs::path folder = adapter(GetParam());
  const auto config = JsonObject::from_file(folder / "adapter_config.json", 1 << 20);
  const auto name = config.get<std::string>("base_model_name_or_path");
  const Model model = open_model(base(name), {.tokenizer = {}, .adapter = folder});
  const std::shared_ptr<const WeightSource> golden = open_safetensors(folder / "sites.safetensors");
  std::vector<Site> sites;
  for (const auto& info : golden->tensors()) {
    const std::string site = info.name.substr(info.name.find('/') + 1);
    if (site != "tokens") sites.push_back(parse_site(site, model.config()));
  }
  ASSERT_GT(sites.size(), 5u);
  const auto got =
      collect(model, golden_tokens(*golden), sites, {.precision = ops::Precision::f32});
  for (const Site site : sites) {
    const auto expected = to_float_tensor(golden->view("seq0/" + name_of(site)));
    const std::vector<float> values(expected.floats().begin(), expected.floats().end());
    const std::int64_t width = std::ssize(values) / expected.shape()[0];
    EXPECT_EQ(compare_vectors(got.at({0, name_of(site)}), values, width), "") << name_of(site);
  }
  ASSERT_EQ(model.notes().size(), 1u);
  EXPECT_THAT(model.notes()[0], HasSubstr("LoRA adapter"));
  EXPECT_FALSE(model.has_half_weights()) << "the base has 32 bits";
}

INSTANTIATE_TEST_SUITE_P(Golden, AdapterParity,
                         testing::Values("llama-lora", "llama-rslora", "gpt2-lora"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

std::string error_with(const fs::path& model, const fs::path& folder) {
  try {
    open_model(model, {.tokenizer = {}, .adapter = folder});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// A copy of llama-lora with some fields of its config changed.
std::string error_with_config(const nlohmann::json& changes) {
  const fs::path copy = fs::temp_directory_path() / fmt::format("massact-adapter-{}", ::getpid());
  fs::remove_all(copy);
  fs::copy(adapter("llama-lora"), copy);
  nlohmann::json config;
  std::ifstream(copy / "adapter_config.json") >> config;
  config.update(changes);
  std::ofstream(copy / "adapter_config.json") << config;
  std::string error = error_with(base("llama-gqa-tied"), copy);
  fs::remove_all(copy);
  return error;
}

TEST(Adapter, WhatDoesNotFitIsRefusedWithItsName) {
  EXPECT_EQ(error_with_config(nlohmann::json::object()), "no error");
  EXPECT_THAT(error_with_config({{"peft_type", "IA3"}}), HasSubstr("expected a LORA adapter"));
  EXPECT_THAT(error_with_config({{"use_dora", true}}), HasSubstr("DoRA"));
  EXPECT_THAT(error_with_config({{"r", 5}}), HasSubstr("expected A [5, 37]"));
  EXPECT_THAT(error_with_config({{"r", 0}}), HasSubstr("expected 1 to"));
  EXPECT_THAT(error_with_config({{"rank_pattern", {{"q.*", 2}}}}), HasSubstr("regular expression"));
  EXPECT_THAT(error_with(base("gpt2"), adapter("llama-lora")),
              HasSubstr("is this adapter for another model?"));
  EXPECT_THAT(error_with(base("gpt2"), base("gpt2")), HasSubstr("adapter_config.json"));
}

}  // namespace
}  // namespace massact
