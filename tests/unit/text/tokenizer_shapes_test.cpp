// The families' pipelines on small vocabularies against HF tokenizers; the files come from
// tools/golden/make_tokenizer_shapes.py, which also says how to run this on larger ones.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

constexpr std::size_t kDigits = 8;

std::filesystem::path folder() {
  const char* other = std::getenv("MASSACT_TOKENIZER_SHAPES");
  return other != nullptr ? other : text_test::golden("shapes");
}

// As in the generator: the lower half of FNV-1a over the ids' little-endian bytes.
std::string digest(std::span<const std::int32_t> ids) {
  std::uint64_t value = 0xCBF29CE484222325ull;
  for (const std::int32_t id : ids)
    for (int byte = 0; byte < 4; ++byte)
      value = (value ^ (static_cast<std::uint32_t>(id) >> (8 * byte) & 0xFF)) * 0x100000001B3ull;
  return fmt::format("{:08x}", static_cast<std::uint32_t>(value));
}

// What all cases share, read once.
struct Goldens {
  std::vector<std::string> texts;
  std::map<std::string, std::string> expected;  // by shape
  std::map<std::string, nlohmann::json> shapes;

  Goldens() {
    std::istringstream strings(io_test::read_all(folder() / "strings.jsonl"));
    for (std::string line; std::getline(strings, line);)
      texts.push_back(parse_json(line, "strings.jsonl").get<std::string>());
    std::istringstream digests(io_test::read_all(folder() / "expected.txt"));
    for (std::string name, line; digests >> name >> line;) expected[name] = line;
    for (auto& shape : parse_json(io_test::read_all(folder() / "shapes.json"), "shapes.json"))
      shapes[shape.at("name").get<std::string>()] = shape;
  }
};

const Goldens& goldens() {
  static const Goldens all;
  return all;
}

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const auto& [name, shape] : goldens().shapes) names.push_back(name);
  return names;
}

// A whole tokenizer.json: the shape's parts and its model with the shape's options.
nlohmann::json document_of(const nlohmann::json& shape) {
  nlohmann::json document = shape.at("parts");
  const auto file = fmt::format("model-{}.json", shape.at("model").get<std::string>());
  document["model"] = parse_json(io_test::read_all(folder() / file), file);
  if (!document.contains("options")) return document;
  const nlohmann::json options = document["options"];
  for (const auto& [name, value] : options.items()) document["model"][name] = value;
  return document;
}

class TokenizerShape : public testing::TestWithParam<std::string> {};

TEST_P(TokenizerShape, GivesTheIdsOfHfTokenizers) {
  const auto document = document_of(goldens().shapes.at(GetParam()));
  const auto tokenizer = read_hf_tokenizer(JsonObject(document, "tokenizer.json"), nullptr);
  const std::string& expected = goldens().expected.at(GetParam());
  ASSERT_EQ(expected.size(), goldens().texts.size() * kDigits);
  int wrong = 0;
  for (std::size_t i = 0; i < goldens().texts.size() && wrong < 10; ++i) {
    const std::string& text = goldens().texts[i];
    const Encoding encoding = tokenizer->encode(text);
    std::int64_t reached = 0;
    for (const ByteSpan& span : encoding.spans) {
      ASSERT_LE(0, span.begin);
      ASSERT_LE(span.begin, span.end);
      ASSERT_LE(span.end, static_cast<std::int64_t>(text.size()));
      ASSERT_LE(reached, span.begin) << "spans in order: " << nlohmann::json(text).dump();
      reached = span.begin;
    }
    if (digest(encoding.ids) == expected.substr(i * kDigits, kDigits)) continue;
    ++wrong;
    ADD_FAILURE() << GetParam() << " " << i << " " << nlohmann::json(text).dump() << " gave "
                  << fmt::format("{}", encoding.ids).substr(0, 500);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerShape, testing::ValuesIn(shape_names()),
                         [](const testing::TestParamInfo<std::string>& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace massact
