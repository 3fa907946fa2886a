#include "massact/report/families_table.h"

#include <fmt/format.h>

#include "massact/base/suggest.h"
#include "massact/model/examples.h"
#include "massact/model/family.h"
#include "massact/model/options.h"
#include "massact/report/version.h"

namespace massact {
namespace {

constexpr int kModelColumns = 22;
constexpr int kIndent = 4;  // of a model's options that stand below its name

struct Row {
  std::string family, model, positions, norms, block, attention, mlp, biases, ends;
};

std::string types_of(const Family& family) {
  return join(std::vector<std::string>(family.model_types.begin(), family.model_types.end()));
}

std::vector<Row> rows() {
  std::vector<Row> all;
  for (const ExampleConfig& example : example_configs()) {
    const Family& family = find_family(example.config);
    const ModelConfig config = family.read_config(example.config);
    all.push_back({std::string(family.name), std::string(example.model), positions_in_words(config),
                   norms_in_words(config), block_in_words(config), join(attention_options(config)),
                   mlp_in_words(config), biases_in_words(config), join(end_options(config))});
  }
  return all;
}

// The row's options in one sentence.
std::string sentence(const Row& row) {
  std::string text = fmt::format("positions: {}; norms: {}; block: {}; MLP: {}", row.positions,
                                 row.norms, row.block, row.mlp);
  if (!row.attention.empty()) text += "; " + row.attention;
  if (!row.biases.empty()) text += "; biases on " + row.biases;
  if (!row.ends.empty()) text += "; " + row.ends;
  return text;
}

// The options beside the model's name if both have room, else below it.
std::string model_text(const Row& row, const TextStyle& style) {
  const std::string name = "  " + row.model;
  const bool beside = style.width >= 3 * kModelColumns && display_width(name) < kModelColumns;
  const int indent = beside ? kModelColumns : kIndent;
  TextStyle inner = style;
  inner.width = style.width - indent;
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  std::string out =
      beside ? pad_right(name, indent) : shorten(name, style.width, style) + "\n" + margin;
  for (const char c : wrap(printable(sentence(row), style), inner)) {
    out += c;
    if (c == '\n') out += margin;
  }
  return out + '\n';
}

}  // namespace

std::string families_text(const TextStyle& style) {
  std::string out;
  const std::vector<Row> all = rows();
  for (const Family& family : families()) {
    out += wrap(fmt::format("{} (model_type {})", family.name, types_of(family)), style) + "\n";
    for (const Row& row : all) {
      if (row.family == family.name) out += model_text(row, style);
    }
  }
  return out;
}

std::string families_markdown() {
  std::string out =
      "| family | model | positions | norms | block | attention | MLP | biases | embedding and "
      "logits |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const Row& r : rows()) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", r.family, r.model,
                       r.positions, r.norms, r.block, r.attention, r.mlp, r.biases, r.ends);
  }
  return out;
}

nlohmann::ordered_json families_to_json() {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Family& family : families()) {
    Json models = Json::array();
    for (const Row& r : rows()) {
      if (r.family != family.name) continue;
      models.push_back({{"model", r.model},
                        {"positions", r.positions},
                        {"norms", r.norms},
                        {"block", r.block},
                        {"attention", r.attention},
                        {"mlp", r.mlp},
                        {"biases", r.biases},
                        {"embedding_and_logits", r.ends}});
    }
    list.push_back({{"family", family.name},
                    {"model_types", family.model_types},
                    {"models", std::move(models)}});
  }
  return {{"schema", "massact.families"},
          {"schema_version", 1},
          {"massact_version", version()},
          {"families", std::move(list)}};
}

}  // namespace massact
