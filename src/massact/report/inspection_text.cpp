#include <fmt/format.h>

#include <map>
#include <vector>

#include "massact/base/suggest.h"
#include "massact/base/units.h"
#include "massact/model/options.h"
#include "massact/report/inspection.h"
#include "massact/report/numbers.h"
#include "massact/report/version.h"

namespace massact {
namespace {

constexpr int kLabelColumns = 13;

// `text` behind a label; its further lines begin below the first one.
std::string field(std::string_view label, std::string_view text, const TextStyle& style,
                  int columns = kLabelColumns) {
  TextStyle inner = style;
  inner.width = style.width - columns;
  std::string out = pad_right(label, columns);
  for (const char c : wrap(text, inner)) {
    out += c;
    if (c == '\n') out += pad_right("", columns);
  }
  return out + '\n';
}

// "F32 12, BF16 290": how many tensors have which encoding.
std::string encodings(const std::vector<TensorInfo>& tensors) {
  std::map<std::string, int> counts;
  for (const TensorInfo& tensor : tensors) ++counts[tensor.encoding];
  std::string out;
  for (const auto& [encoding, count] : counts) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", encoding, count);
  }
  return out;
}

// What the model reads.
std::string input_text(const ModelConfig& c) {
  if (c.is_vision()) {
    return fmt::format("images of {} x {} pixels as {} tokens ({})", c.vision.image_height,
                       c.vision.image_width, c.max_positions, positions_in_words(c));
  }
  return fmt::format("vocabulary {}, at most {} positions ({})", c.vocab, c.max_positions,
                     positions_in_words(c));
}

std::string model_text(const Inspection& x, const TextStyle& style) {
  const ModelConfig& c = x.config;
  std::string out = field("model", printable(x.path, style), style);
  out += field("family", fmt::format("{} ({})", c.family, printable(c.name, style)), style);
  out += field("shape",
               fmt::format("{}, width {}, {} heads x {} ({} key/value), MLP {}{}, {}",
                           counted(c.layers, "layer"), c.width, c.heads, c.head_size, c.kv_heads,
                           c.mlp_size, c.gated_mlp ? " gated" : "", input_text(c)),
               style);
  out += field("parameters",
               fmt::format("{} in {} tensors ({}), {} on disk",
                           format_count(static_cast<std::uint64_t>(x.parameters)), x.tensors.size(),
                           encodings(x.tensors), format_bytes(x.file_bytes)),
               style);
  for (std::size_t i = 0; i < x.files.size(); ++i) {
    out += field(i == 0 ? "files" : "", printable(x.files[i], style), style);
  }
  out += field("hash", x.hash, style);
  if (!c.is_vision()) {
    out += field("tokenizer",
                 x.has_tokenizer
                     ? "found"
                     : "none beside the model: give --tokenizer, or --tokens instead of text",
                 style);
  }
  if (x.unusual.empty()) out += field("unusual", "nothing", style);
  for (std::size_t i = 0; i < x.unusual.size(); ++i) {
    out += field(i == 0 ? "unusual" : "", x.unusual[i], style);
  }
  for (std::size_t i = 0; i < x.ignored.size(); ++i) {
    out += field(i == 0 ? "not used" : "",
                 fmt::format("{} ({})", printable(x.ignored[i].first, style), x.ignored[i].second),
                 style);
  }
  return out;
}

std::string cost_text(const Inspection& x, const TextStyle& style) {
  const MemoryPlan& m = x.memory;
  std::string out =
      fmt::format("A scan of {} {} {} tokens in {} on {} {}:\n", x.sequences,
                  x.config.is_vision() ? "images of" : "x", x.seq_len, name_of(x.precision),
                  x.threads, x.threads == 1 ? "thread" : "threads");
  out = wrap(out.substr(0, out.size() - 1), style) + "\n";
  out +=
      field("memory",
            fmt::format("{} at most: packed weights {} ({}), {} as stored while they are packed, "
                        "hidden states {}, workspace {}, the program itself {}",
                        format_bytes(m.total), format_bytes(m.blocks),
                        m.resident ? "all layers stay in memory"
                                   : fmt::format("of {} per layer{}", format_bytes(m.block),
                                                 m.experts > 0 ? " and " + format_bytes(m.experts) +
                                                                     " for the experts in use"
                                                               : ""),
                        format_bytes(m.source), format_bytes(m.hidden), format_bytes(m.workspace),
                        format_bytes(m.program)),
            style);
  out += field("passes", fmt::format("{} over the weights", m.passes()), style);
  out += field(
      "time",
      fmt::format("about {} ({} operations at {} per second, measured just now)",
                  format_seconds(x.seconds), number(x.arithmetic), number(x.operations_per_second)),
      style);
  return out;
}

// "blocks.1.attn.W_Q [32, 32], blocks.1.attn.W_K [16, 32] and 3 more".
std::string weights_text(const std::vector<InspectedWeight>& weights) {
  constexpr std::size_t kShown = 6;
  std::vector<std::string> names;
  for (const InspectedWeight& weight : weights) {
    names.push_back(fmt::format("{} [{}, {}]", weight.name, weight.rows, weight.columns));
  }
  return list_names(names, kShown);
}

std::string tensors_text(const Inspection& x, const TextStyle& style) {
  std::string out = "\n";
  for (const TensorInfo& tensor : x.tensors) {
    out += shorten(fmt::format("{} {} {}", printable(tensor.name, style), tensor.encoding,
                               tensor.shape.to_string()),
                   style.width, style) +
           "\n";
    const auto weights = x.weights.find(tensor.name);
    if (weights == x.weights.end()) continue;
    out += field("", weights_text(weights->second), style, 2);
  }
  return out;
}

nlohmann::ordered_json weights_json(const Inspection& x, std::string_view tensor) {
  auto list = nlohmann::ordered_json::array();
  const auto weights = x.weights.find(tensor);
  if (weights == x.weights.end()) return list;
  for (const InspectedWeight& weight : weights->second) {
    list.push_back({{"name", weight.name}, {"rows", weight.rows}, {"columns", weight.columns}});
  }
  return list;
}

}  // namespace

std::string inspection_text(const Inspection& inspection, bool all_tensors,
                            const TextStyle& style) {
  std::string out = model_text(inspection, style) + "\n" + cost_text(inspection, style);
  if (all_tensors) out += tensors_text(inspection, style);
  return out;
}

nlohmann::ordered_json inspection_to_json(const Inspection& x) {
  using Json = nlohmann::ordered_json;
  const ModelConfig& c = x.config;
  Json tensors = Json::array();
  for (const TensorInfo& tensor : x.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"encoding", tensor.encoding},
                       {"shape", tensor.shape.extents()},
                       {"bytes", tensor.bytes},
                       {"weights", weights_json(x, tensor.name)}});
  }
  Json ignored = Json::array();
  for (const auto& [name, reason] : x.ignored) {
    ignored.push_back({{"name", name}, {"reason", reason}});
  }
  return {{"schema", "massact.inspect"},
          {"schema_version", 1},
          {"massact_version", version()},
          {"model",
           {{"path", x.path},
            {"family", c.family},
            {"hash", x.hash},
            {"layers", c.layers},
            {"width", c.width}}},
          {"config",
           {{"name", c.name},
            {"heads", c.heads},
            {"kv_heads", c.kv_heads},
            {"head_size", c.head_size},
            {"mlp_size", c.mlp_size},
            {"gated_mlp", c.gated_mlp},
            {"vocab", c.vocab},
            {"max_positions", c.max_positions},
            {"positions", positions_in_words(c)},
            {"attention", name_of(c.variant)}}},
          {"parameters", x.parameters},
          {"file_bytes", x.file_bytes},
          {"has_tokenizer", x.has_tokenizer},
          {"unusual", x.unusual},
          {"files", x.files},
          {"ignored_tensors", std::move(ignored)},
          {"run",
           {{"sequences", x.sequences},
            {"seq_len", x.seq_len},
            {"precision", name_of(x.precision)},
            {"threads", x.threads},
            {"memory_bytes", x.memory.total},
            {"resident", x.memory.resident},
            {"passes", x.memory.passes()},
            {"operations", x.arithmetic},
            {"operations_per_second", x.operations_per_second},
            {"seconds", x.seconds}}},
          {"tensors", std::move(tensors)}};
}

}  // namespace massact
