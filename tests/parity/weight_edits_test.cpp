// Edits of weights against the engine's own reader: of the whole model exactly the named elements
// change, however the file holds them.
#include "massact/edit/weight_edits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "massact/base/error.h"
#include "massact/edit/edits.h"
#include "parity/collect.h"
#include "parity/read_weight.h"

namespace massact {
namespace {

using namespace testing_support;
using edit::WeightEdit;
using testing::HasSubstr;

struct Element {
  std::string weight;
  std::int64_t row = 0, column = 0;
  auto operator<=>(const Element&) const = default;
};
void PrintTo(const Element& e, std::ostream* out) {
  *out << e.weight << "[" << e.row << ", " << e.column << "]";
}

// All elements of the model that differ, and that they are `factor` times what they were.
std::set<Element> changed(const Model& before, const Model& after, float factor) {
  std::set<Element> elements;
  for (const std::string& name : before.weights().names("")) {
    const std::vector<float> a = read_weight(before.weights(), name),
                             b = read_weight(after.weights(), name);
    EXPECT_EQ(a.size(), b.size()) << name;
    const std::int64_t columns = is_projection(name)
                                     ? before.weights().matrix(name).slices.front().in
                                     : before.weights().placement(name).columns;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i] == b[i]) continue;
      EXPECT_EQ(b[i], factor * a[i]) << name << " " << i;
      const auto at = static_cast<std::int64_t>(i);
      elements.insert({name, at / columns, at % columns});
    }
  }
  return elements;
}

std::vector<WeightEdit> edit_of(const Element& e, double factor) {
  return {
      {.where = "test", .weight = e.weight, .row = e.row, .column = e.column, .factor = factor}};
}

struct Layout {
  const char* name;
  const char* model;  // below tests/golden
  Element element;
  const char* tensor = "";  // the file's, and the element's number in it, worked out by hand
  std::int64_t number = -1;
  const char* adapter = "";
};

class WeightLayouts : public testing::TestWithParam<Layout> {};

TEST_P(WeightLayouts, OneElementChangesAndNoOther) {
  const Layout& layout = GetParam();
  const std::string adapter = layout.adapter;
  const Model model =
      open_model(golden_folder() / layout.model,
                 {.tokenizer = {}, .adapter = adapter.empty() ? "" : golden_folder() / adapter});
  const Model edited = edit::with_weight_edits(model, edit_of(layout.element, -2.0));
  EXPECT_EQ(changed(model, edited, -2.0f), std::set<Element>{layout.element});
  EXPECT_EQ(edited.has_half_weights(), model.has_half_weights());
  if (layout.number < 0) return;
  float before = 0.0f, after = 0.0f;
  model.weights().source().read(layout.tensor, layout.number, 1, &before);
  edited.weights().source().read(layout.tensor, layout.number, 1, &after);
  EXPECT_NE(before, 0.0f);
  EXPECT_EQ(after, -2.0f * before);
}

INSTANTIATE_TEST_SUITE_P(
    Table, WeightLayouts,
    testing::Values(Layout{"Linear",
                           "models/planted",
                           {"blocks.1.mlp.W_out", 2, 7},
                           "model.layers.1.mlp.down_proj.weight",
                           2 * 48 + 7},
                    Layout{"LinearBf16",
                           "models/llama-bf16",
                           {"blocks.0.attn.W_O", 1, 1},
                           "model.layers.0.self_attn.o_proj.weight",
                           1 * 24 + 1},
                    Layout{"Norm",
                           "models/planted",
                           {"blocks.3.ln1.w", 5, 0},
                           "model.layers.3.input_layernorm.weight",
                           5},
                    Layout{"Conv1D",
                           "models/gpt2",
                           {"blocks.0.mlp.W_in", 50, 3},
                           "h.0.mlp.c_fc.weight",
                           3 * 53 + 50},
                    Layout{"Conv1DFused",
                           "models/gpt2",
                           {"blocks.0.attn.W_K", 20, 4},
                           "h.0.attn.c_attn.weight",
                           4 * 63 + 21 + 20},
                    Layout{"BiasFused",
                           "models/gpt2",
                           {"blocks.0.attn.b_V", 5, 0},
                           "h.0.attn.c_attn.bias",
                           42 + 5},
                    Layout{"LinearFused",
                           "models/phi3-window",
                           {"blocks.0.attn.W_V", 1, 2},
                           "model.layers.0.self_attn.qkv_proj.weight",
                           (24 + 12 + 1) * 24 + 2},
                    Layout{"FusedInGroups",
                           "models/falcon-40b",
                           {"blocks.0.attn.W_K", 5, 3},
                           "transformer.h.0.self_attention.query_key_value.weight",
                           (16 + 8 + 1) * 24 + 3},
                    Layout{"ExpertOfAStack",
                           "models/gpt-oss",
                           {"experts.0.3.W_out", 2, 1},
                           "model.layers.0.mlp.experts.down_proj",
                           3 * 13 * 20 + 1 * 20 + 2},
                    Layout{"ExpertInTurns",
                           "models/gpt-oss",
                           {"experts.0.3.W_in", 4, 6},
                           "model.layers.0.mlp.experts.gate_up_proj",
                           3 * 20 * 26 + 6 * 26 + 2 * 4 + 1},
                    Layout{"ExpertBias",
                           "models/gpt-oss",
                           {"experts.0.3.b_gate", 4, 0},
                           "model.layers.0.mlp.experts.gate_up_proj_bias",
                           3 * 26 + 2 * 4},
                    Layout{"Mxfp4", "models/gpt-oss-mxfp4", {"experts.0.1.W_gate", 2, 1}},
                    Layout{"Gptq", "models/llama-gptq", {"blocks.0.mlp.W_out", 23, 39}},
                    Layout{"Awq", "models/llama-awq", {"blocks.0.mlp.W_in", 8, 3}},
                    Layout{"Nf4", "models/llama-nf4", {"blocks.0.attn.W_Q", 3, 2}},
                    Layout{"Fp8", "models/llama-fp8", {"blocks.0.attn.W_V", 3, 2}},
                    Layout{"GgufQ8", "gguf/models/planted-q8.gguf", {"blocks.1.mlp.W_out", 19, 13}},
                    Layout{"GgufExpert", "gguf/models/gpt-oss.gguf", {"experts.0.3.W_out", 2, 1}},
                    Layout{"GgufNormOfAHead",
                           "gguf/models/stablelm-parallel.gguf",
                           {"blocks.1.attn.k_norm.1.w", 4, 0},
                           "blk.1.attn_k_norm.weight",
                           1 * 6 + 4},
                    Layout{"AdapterTransposed",
                           "models/gpt2",
                           {"blocks.0.attn.W_V", 7, 9},
                           "",
                           -1,
                           "adapters/gpt2-lora"},
                    Layout{"PatchKernel", "vision/vit", {"embed.W_patch", 1, 9}},
                    Layout{"Registers", "vision/dinov2-registers", {"embed.registers", 1, 2}},
                    Layout{"PatchPositions", "vision/vit", {"pos_embed.W_pos", 2, 3}}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(WeightEdits, ARowAndAColumnAreThoseOfTheProjection) {
  // [53 outputs, 21 inputs]; the file holds [21, 53].
  const Model model = open_model(golden_folder() / "models/gpt2");
  std::set<Element> row, column;
  for (std::int64_t i = 0; i < 21; ++i) row.insert({"blocks.0.mlp.W_in", 50, i});
  for (std::int64_t i = 0; i < 53; ++i) column.insert({"blocks.0.mlp.W_in", i, 20});
  const auto edited = [&](std::int64_t r, std::int64_t c) {
    return edit::with_weight_edits(model, edit_of({"blocks.0.mlp.W_in", r, c}, 0.5));
  };
  EXPECT_EQ(changed(model, edited(50, -1), 0.5f), row);
  EXPECT_EQ(changed(model, edited(-1, 20), 0.5f), column);
}

// Gemma's norms multiply by 1 + what HF's files hold; GGUF files hold the sum.
TEST(WeightEdits, GemmasNormsAreWhatTheyMultiplyByInEveryFile) {
  const Model hf = open_model(golden_folder() / "models/gemma");
  const Model gguf = open_model(golden_folder() / "gguf/models/gemma.gguf");
  for (const std::string weight : {"blocks.1.ln2.w", "ln_final.w"}) {
    const auto edited = [&](const Model& model, double factor) {
      const Model other = edit::with_weight_edits(model, edit_of({weight, 3, -1}, factor));
      return other.weights().vector(weight);
    };
    EXPECT_EQ(edited(hf, 0.0)[3], -1.0f);
    const std::vector<float> before = hf.weights().vector(weight), tripled = edited(hf, 3.0);
    EXPECT_NE(before[3], 0.0f);
    EXPECT_NEAR(1.0f + tripled[3], 3.0f * (1.0f + before[3]), 1e-6);
    EXPECT_NEAR(1.0f + tripled[3], edited(gguf, 3.0)[3], 1e-6);
    EXPECT_EQ(tripled[4], before[4]);
    EXPECT_EQ(edited(hf, 1.0), before);
  }
}

TEST(WeightEdits, TheHeaviestOfGemmasNormsIsOfWhatTheyMultiplyBy) {
  const Model hf = open_model(golden_folder() / "models/gemma");
  const std::vector<float> before = hf.weights().vector("ln_final.w");
  const auto heaviest = std::max_element(before.begin(), before.end(), [](float a, float b) {
    return std::abs(1.0f + a) < std::abs(1.0f + b);
  });
  const Model pruned =
      edit::with_weight_edits(hf, {{.where = "test", .weight = "ln_final.w", .prune_rows = 1}});
  std::vector<float> expected = before;
  expected[static_cast<std::size_t>(heaviest - before.begin())] = -1.0f;
  EXPECT_EQ(pruned.weights().vector("ln_final.w"), expected);
}

// The number of the row of [rows, columns] with the largest norm.
std::int64_t heaviest(const std::vector<float>& values, std::int64_t columns) {
  std::int64_t best = 0;
  double most = -1.0;
  for (std::int64_t r = 0; r < std::ssize(values) / columns; ++r) {
    double squares = 0.0;
    for (std::int64_t c = 0; c < columns; ++c) {
      const double w = values[static_cast<std::size_t>(r * columns + c)];
      squares += w * w;
    }
    if (squares > most) best = r;
    most = std::max(most, squares);
  }
  return best;
}

TEST(WeightEdits, PrunedRowsAreOutputs) {
  for (const auto& [folder, weight, columns] :
       {std::tuple{"gpt2", "blocks.0.attn.W_Q", 21}, std::tuple{"gpt-oss", "experts.0.3.W_in", 20},
        std::tuple{"falcon-40b", "blocks.0.attn.W_V", 24},
        std::tuple{"llama-gptq", "blocks.0.mlp.W_out", 40}}) {
    const Model model = open_model(golden_folder() / "models" / folder);
    const std::int64_t row = heaviest(read_weight(model.weights(), weight), columns);
    const Model pruned =
        edit::with_weight_edits(model, {{.where = "test", .weight = weight, .prune_rows = 1}});
    std::set<std::int64_t> rows;
    for (const Element& e : changed(model, pruned, 0.0f)) {
      EXPECT_EQ(e.weight, weight);
      rows.insert(e.row);
    }
    EXPECT_EQ(rows, std::set<std::int64_t>{row}) << folder;
  }
}

// A column of the down projection is what one neuron writes: without it the neuron might as well
// be silent.
TEST(WeightEdits, RunsSeeThem) {
  const Plan::Tokens tokens = {3, 1, 4, 1, 5};
  for (const auto& [model_name, precision] :
       {std::pair{"models/gpt2", ops::Precision::f32},
        std::pair{"models/llama-bf16", ops::Precision::bf16},
        std::pair{"models/llama-gptq", ops::Precision::f32},
        std::pair{"gguf/models/planted-q8.gguf", ops::Precision::f32}}) {
    const Model model = open_model(golden_folder() / model_name);
    const Model edited =
        edit::with_weight_edits(model, edit_of({"blocks.1.mlp.W_out", -1, 13}, 0.0));
    const std::vector<Site> logits = {{SiteKind::logits, -1}};
    const auto unheard = collect(edited, {tokens}, logits, {.precision = precision});
    Plan plan(model, std::vector<Plan::Tokens>{tokens});
    std::vector<SiteEdit> edits;
    edits.push_back({{SiteKind::mlp_post, 1},
                     edit::edit_scalars(edit::by_position({}, {13}, nullptr, 0), edit::zero(), 0)});
    const int stream = plan.fork("silent", std::move(edits));
    auto& silent = plan.observe(logits, Collect{}, stream);
    NoProgress progress;
    run(plan, {.precision = precision}, progress);
    EXPECT_EQ(unheard, silent.values()) << model_name;
    EXPECT_NE(unheard, collect(model, {tokens}, logits, {.precision = precision})) << model_name;
  }
}

// A file's weight may be infinite, or no number at all.
TEST(WeightEdits, ZeroIsZeroWhateverTheFileHas) {
  const std::string weight = "blocks.1.mlp.W_out";
  constexpr double kBeyondFloats = 1e300;
  for (const double broken : {kBeyondFloats, std::nan("")}) {
    const Model model = with_weight_edits(open_model(golden_folder() / "models/planted"),
                                          edit_of({weight, 2, 7}, broken));
    const std::size_t at = 2 * 48 + 7;
    EXPECT_FALSE(std::isfinite(read_weight(model.weights(), weight)[at]));
    const Model zeroed = with_weight_edits(model, edit_of({weight, 2, 7}, 0.0));
    EXPECT_EQ(read_weight(zeroed.weights(), weight)[at], 0.0f);
    const std::vector<WeightEdit> prune = {{.where = "test", .weight = weight, .prune_rows = 1}};
    if (std::isnan(broken)) {
      EXPECT_THROW((void)with_weight_edits(model, prune), Error);
      continue;
    }
    const Model pruned = with_weight_edits(model, prune);
    EXPECT_EQ(read_weight(pruned.weights(), weight)[at], 0.0f);
  }
}

TEST(WeightEdits, BadOnesAreRefused) {
  const Model model = open_model(golden_folder() / "models/gpt-oss");
  const auto refusal = [&](const std::vector<WeightEdit>& edits) -> std::string {
    try {
      edit::require_weight_edits(model, edits);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal(edit_of({"experts.0.3.W_uot", 0, 0}, 0)), HasSubstr("experts.0.3.W_out"));
  EXPECT_THAT(refusal(edit_of({"experts.0.3.W_out", 20, 0}, 0)),
              HasSubstr("expected a row below 20 in experts.0.3.W_out of shape [20, 13], got 20"));
  EXPECT_THAT(refusal(edit_of({"experts.0.3.W_out", 0, 13}, 0)), HasSubstr("column below 13"));
  EXPECT_THAT(refusal(edit_of({"experts.0.3.W_out", -1, -1}, 0)), HasSubstr("expected a row"));
  EXPECT_THAT(refusal({{.where = "test", .weight = "blocks.0.attn.W_O", .prune_rows = 21}}),
              HasSubstr("at most 20 rows"));
  EXPECT_THAT(refusal({{.where = "first", .weight = "experts.0.3.W_out", .row = 2},
                       {.where = "second", .weight = "experts.0.3.W_out", .column = 1}}),
              AllOf(HasSubstr("second"), HasSubstr("contradicts another edit")));
  EXPECT_EQ(refusal({{.where = "first", .weight = "experts.0.3.W_out", .row = 2},
                     {.where = "second", .weight = "experts.0.2.W_out", .row = 2},
                     {.where = "third", .weight = "experts.0.3.W_out", .row = 3}}),
            "accepted");
}

}  // namespace
}  // namespace massact
