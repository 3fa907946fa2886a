// Files that are not what they should be: one clear error each, naming file and field.
#include "massact/base/error.h"
#include "massact/text/llama2c_tokenizer.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::bytes_of;
using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::HasSubstr;
using text_test::small_byte_level;
using text_test::tokenizer_of;

struct BadField {
  std::string name;
  std::string from, to;  // what is replaced in a good tokenizer.json
  std::string error;     // what the error must say
};

class BadTokenizerJson : public testing::TestWithParam<BadField> {};

TEST_P(BadTokenizerJson, IsRefused) {
  std::string json = small_byte_level();
  const auto at = json.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  json.replace(at, GetParam().from.size(), GetParam().to);
  const std::string error = error_of([&] { tokenizer_of(json); });
  EXPECT_THAT(error, HasSubstr("tokenizer.json"));
  EXPECT_THAT(error, HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTokenizerJson,
    testing::Values(
        BadField{"ModelType", "\"BPE\"", "\"Trigram\"", "model.type] expected BPE, Unigram,"},
        BadField{"UnigramOfObject", "\"BPE\"", "\"Unigram\"", "model.vocab] expected an array"},
        BadField{"NoVocabulary", "\"vocab\"", "\"words\"", "model.vocab"},
        BadField{"HugeId", "\"Ċ\": 5", "\"Ċ\": 4000000000", "model.vocab.Ċ"},
        BadField{"NegativeId", "\"Ċ\": 5", "\"Ċ\": -5", "expected a token id"},
        BadField{"TextId", "\"Ċ\": 5", "\"Ċ\": \"5\"", "expected a token id"},
        BadField{"FractionId", "\"Ċ\": 5", "\"Ċ\": 5.5", "expected a token id"},
        BadField{"DuplicateId", "\"Ċ\": 5", "\"Ċ\": 4", "expected ids to be unique"},
        BadField{"DuplicateKey", "\"Ċ\": 5", "\"a\": 5", "a"},
        BadField{"NoMerges", "\"merges\"", "\"merge\"", "model.merges"},
        BadField{"MergeOfUnknown", "\"a b\"", "\"a x\"", "model.merges[0]] expected tokens"},
        BadField{"MergeIntoUnknown", "\"a b\"", "\"b a\"", "\"ba\""},
        BadField{"MergeOfOne", "\"a b\"", "\"ab\"", "one space"},
        BadField{"MergeOfThree", "\"a b\"", "[\"a\", \"b\", \"c\"]", "[left, right]"},
        BadField{"AddedIdTaken", "\"id\": 6", "\"id\": 5", "an id of its own"},
        BadField{"AddedIdHuge", "\"id\": 6", "\"id\": 600000000", "expected a token id"},
        BadField{"AddedWithoutContent", "\"content\"", "\"text\"", "added_tokens[0]: content]"},
        BadField{"TemplateId", "\"ids\": [6]", "\"ids\": [600]", "special_tokens"},
        BadField{"TemplateName", "\"<s>\": {\"id\"", "\"<x>\": {\"id\"", "special_tokens"},
        BadField{"PreTokenizer", "\"ByteLevel\", \"add", "\"UnicodeScripts\", \"add",
                 "UnicodeScripts"},
        BadField{"Delimiter", "\"ByteLevel\", \"add_prefix_space\": false",
                 "\"CharDelimiterSplit\", \"delimiter\": \"\"", "delimiter"},
        BadField{"ByteFallback", "\"type\": \"BPE\"", "\"byte_fallback\": true", "byte_fallback"},
        BadField{"Decoder", "\"decoder\": {\"type\": \"ByteLevel\"}",
                 "\"decoder\": {\"type\": \"CTC\"}", "decoder.type] expected a supported decoder"},
        BadField{"Normalizer", "\"decoder\":", "\"normalizer\": {\"type\": \"Nmt\"}, \"x\":",
                 "normalizer.type] expected a supported normalizer"},
        BadField{"Charsmap", "\"decoder\":",
                 "\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}, "
                 "\"x\":",
                 "precompiled_charsmap"},
        BadField{"Base64", "\"decoder\":",
                 "\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"?\"}, "
                 "\"x\":",
                 "base64"},
        BadField{"Pattern", "\"ByteLevel\", \"add_prefix_space\": false",
                 "\"Split\", \"pattern\": {\"Regex\": \"(\"}", "pattern.Regex"},
        BadField{"Dropout", "\"type\": \"BPE\"", "\"dropout\": 0.1", "dropout"},
        BadField{"Syntax", "\"merges\": [", "\"merges\": [,", "tokenizer.json"}),
    [](const testing::TestParamInfo<BadField>& test) { return test.param.name; });

TEST(OpenTokenizer, NamesWhatItLookedFor) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { open_tokenizer(directory.path()); }), HasSubstr("tokenizer.model"));
  EXPECT_THAT(error_of([&] { open_tokenizer(directory / "none.json"); }), HasSubstr("none.json"));
  directory.write("tok1.bin", "x");
  directory.write("tok2.bin", "x");
  EXPECT_THAT(error_of([&] { open_tokenizer(directory.path()); }),
              testing::AllOf(HasSubstr("tok1.bin"), HasSubstr("tok2.bin")));
  const auto text = directory.write("vocab.txt", "x");
  EXPECT_THAT(error_of([&] { open_tokenizer(text); }), HasSubstr(".txt"));
}

TEST(OpenTokenizer, JsonThatIsNoUtf8) {
  const TemporaryDirectory directory;
  const auto file = directory.write("tokenizer.json", "{\"model\": \"\xFF\"}");
  EXPECT_THAT(error_of([&] { open_tokenizer(file); }), HasSubstr("tokenizer.json"));
}

TEST(SentencePiece, BadModels) {
  const TemporaryDirectory directory;
  std::string model = io_test::read_all(text_test::golden("sp_bpe.model"));
  for (const std::string& bytes :
       {std::string(), std::string("not a model"), model.substr(0, 1000)}) {
    const auto file = directory.write("tokenizer.model", bytes);
    EXPECT_THAT(error_of([&] { open_tokenizer(file); }), HasSubstr("tokenizer.model"));
  }
}

// A llama2.c tokenizer with three special tokens and the bytes, then `more`.
std::string llama2c_of(std::string_view more, std::int32_t longest = 7) {
  std::string bytes = bytes_of(longest);
  const auto add = [&](std::string_view text) {
    bytes += bytes_of(0.0f, static_cast<std::int32_t>(text.size()));
    bytes += text;
  };
  for (const char* text : {"<unk>", "\n<s>\n", "\n</s>\n"}) add(text);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte));
  return bytes.append(more);
}

std::string llama2c_error(const std::string& bytes) {
  return error_of([&] { read_llama2c_tokenizer(std::as_bytes(std::span(bytes)), "tok.bin"); });
}

TEST(Llama2c, BadFiles) {
  EXPECT_EQ(llama2c_error(llama2c_of("")), "no error");
  EXPECT_THAT(llama2c_error(""), HasSubstr("[tok.bin]"));
  EXPECT_THAT(llama2c_error(llama2c_of("", 0)), HasSubstr("longest token"));
  EXPECT_THAT(llama2c_error(llama2c_of("", 1 << 30)), HasSubstr("longest token"));
  EXPECT_THAT(llama2c_error(llama2c_of("").substr(0, 100)), HasSubstr("token"));
  EXPECT_THAT(llama2c_error(llama2c_of("xyz")), HasSubstr("token 259"));
  EXPECT_THAT(llama2c_error(llama2c_of(bytes_of(0.0f, std::int32_t{-1}))), HasSubstr("token 259"));
  EXPECT_THAT(llama2c_error(llama2c_of(bytes_of(0.0f, std::int32_t{9}) + "short")),
              HasSubstr("token 259"));
  EXPECT_THAT(llama2c_error(llama2c_of(bytes_of(std::nanf(""), std::int32_t{1}) + "a")),
              HasSubstr("finite"));
  EXPECT_THAT(llama2c_error(llama2c_of(bytes_of(0.0f, std::int32_t{1}) + "\xFF")),
              HasSubstr("UTF-8"));
  std::string swapped = llama2c_of("");
  swapped.replace(swapped.find("<0x41>"), 6, "<0x42>");
  EXPECT_THAT(llama2c_error(swapped), HasSubstr("<0x41>"));
}

}  // namespace
}  // namespace massact
