// Perplexities and the log-probabilities behind them against HF transformers
// (tests/golden/eval, made by tools/golden/make_perplexity.py).
#include "massact/eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "massact/io/json.h"
#include "massact/text/corpus_files.h"
#include "parity/collect.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

// "models/planted" or "shared:data/…".
fs::path locate(const std::string& name) {
  constexpr std::string_view kShared = "shared:data/";
  if (name.starts_with(kShared)) return shared_data() / name.substr(kShared.size());
  return golden_folder() / name;
}

std::vector<JsonObject> golden_cases() {
  const auto file = JsonObject::from_file(golden_folder() / "eval" / "perplexity.json", 1 << 20);
  std::vector<JsonObject> cases;
  for (const auto& entry : *file.find("cases")) cases.emplace_back(entry, "perplexity.json");
  return cases;
}

struct Source {
  std::vector<std::int32_t> ids;
  std::optional<eval::TextCounts> counts;
};

Source read_source(const JsonObject& expected, const Model& model) {
  Source source;
  if (expected.has("tokens_file")) {
    const auto rows = load_tokens(locate(expected.get<std::string>("tokens_file")), 1 << 20);
    source.ids.assign(rows.at(0).begin(), rows.at(0).end());
    return source;
  }
  const auto name = expected.get<std::string>("text_file");
  const LoadedText text = load_text(locate(name.substr(0, name.find(','))));
  source.ids = model.tokenizer().encode(text.text).ids;
  source.counts = eval::TextCounts::of(text.text);
  return source;
}

std::int32_t bos_of(const Model& model) {
  if (model.has_tokenizer()) return *model.tokenizer().bos();
  const auto config = JsonObject::from_file(model.path() / "config.json", 1 << 20);
  return config.get<int>("bos_token_id");
}

std::vector<eval::Window> windows_of(const JsonObject& expected, const Model& model,
                                     const std::vector<std::int32_t>& ids) {
  const auto convention = eval::parse_convention(expected.get<std::string>("convention"), "test");
  const auto seq_len = expected.get<std::int64_t>("seq_len");
  std::optional<std::int32_t> bos;
  if (expected.get<std::string>("bos") == "yes") bos = bos_of(model);
  switch (convention) {
    case eval::Convention::hf:
      return eval::hf_windows(ids, seq_len, bos);
    case eval::Convention::llama_cpp:
      return eval::llama_cpp_windows(ids, seq_len, bos);
    case eval::Convention::lm_eval:
      break;
  }
  return eval::rolling_windows(ids, seq_len, *bos);
}

void expect_near_relative(double got, double expected, const char* what) {
  EXPECT_NEAR(got, expected, 1e-4 * std::abs(expected)) << what;
}

void check_case(const JsonObject& expected, const WeightSource& log_probs) {
  const auto name = expected.get<std::string>("case");
  SCOPED_TRACE(name);
  const Model model = open_model(locate(expected.get<std::string>("model")));
  const Source source = read_source(expected, model);
  EXPECT_EQ(std::ssize(source.ids), expected.get<std::int64_t>("tokens"));
  auto windows = windows_of(expected, model, source.ids);
  if (expected.has("sequences")) windows.resize(expected.get<std::size_t>("sequences"));

  const auto shared = std::make_shared<const std::vector<eval::Window>>(std::move(windows));
  Plan plan(model, eval::sequences_of(*shared));
  const auto board = eval::ScoreBoard::attach(plan, shared);
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);

  const auto convention = eval::parse_convention(expected.get<std::string>("convention"), "test");
  const auto result = eval::perplexity_of(convention, board.of(0), source.counts);
  EXPECT_EQ(result.windows, expected.get<std::int64_t>("windows"));
  EXPECT_EQ(result.targets, expected.get<std::int64_t>("scored"));
  expect_near_relative(result.log_likelihood, expected.get<double>("log_likelihood"), "likelihood");
  if (expected.has("perplexity")) {
    expect_near_relative(result.perplexity.value, expected.get<double>("perplexity"), "perplexity");
    EXPECT_TRUE(result.perplexity.error.has_value());
  }
  if (expected.has("word_perplexity")) {
    EXPECT_EQ(source.counts->words, expected.get<std::int64_t>("words"));
    EXPECT_EQ(source.counts->bytes, expected.get<std::int64_t>("bytes"));
    expect_near_relative(result.word_perplexity->value, expected.get<double>("word_perplexity"),
                         "word perplexity");
    expect_near_relative(result.byte_perplexity->value, expected.get<double>("byte_perplexity"),
                         "byte perplexity");
    expect_near_relative(result.bits_per_byte->value, expected.get<double>("bits_per_byte"),
                         "bits per byte");
  }
  const TensorInfo* info = log_probs.find(name + "/log_probs");
  if (info == nullptr) return;
  std::vector<float> golden(static_cast<std::size_t>(info->shape.element_count()));
  log_probs.read(info->name, 0, std::ssize(golden), golden.data());
  std::vector<double> got;
  for (const auto& window : board.of(0)) {
    got.insert(got.end(), window.log_probs.begin(), window.log_probs.end());
  }
  ASSERT_EQ(got.size(), golden.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], static_cast<double>(golden[i]), 1e-3) << "token " << i;
  }
}

TEST(Perplexity, AgreesWithHfInThreeConventions) {
  const auto log_probs = open_safetensors(golden_folder() / "eval" / "log_probs.safetensors");
  int checked = 0;
  for (const JsonObject& expected : golden_cases()) {
    if (expected.get<std::string>("model").starts_with("shared:")) continue;
    check_case(expected, *log_probs);
    ++checked;
  }
  EXPECT_GE(checked, 20);
}

TEST(Perplexity, AgreesWithHfOnARealModel) {
  if (!fs::exists(locate("shared:data/stories260K/stories260K.bin"))) {
    GTEST_SKIP() << "no shared data: set MASSACT_SHARED";
  }
  const auto log_probs = open_safetensors(golden_folder() / "eval" / "log_probs.safetensors");
  for (const JsonObject& expected : golden_cases()) {
    if (!expected.get<std::string>("model").starts_with("shared:")) continue;
    // The rows of wikitext-2 joined as the paper's code does: a text of its own.
    if (expected.get<std::string>("text_file").ends_with("rows joined")) continue;
    check_case(expected, *log_probs);
  }
}

}  // namespace
}  // namespace massact
