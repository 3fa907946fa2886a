// Class names, templates, and what the text towers' tokenizers do to a text.
#include "massact/text/prompts.h"

#include "massact/text/tower_text.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Prompts : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& text) const {
    return directory_.write(name, text);
  }
  TemporaryDirectory directory_;
};

TEST_F(Prompts, ClassNamesAreReadAsPeopleHaveThem) {
  const auto classes =
      read_class_names(file("names.txt",
                            "\xEF\xBB\xBFtench, Tinca tinca\r\n\n  great white shark \n"
                            "n01443537 goldfish\nn01491361\ttiger shark,, Galeocerdo\nn01494475\n"
                            "n0149 house"));
  ASSERT_EQ(classes.size(), 6u);
  EXPECT_THAT(classes[0].names, ElementsAre("tench", "Tinca tinca"));
  EXPECT_EQ(classes[0].all(), "tench, Tinca tinca");
  EXPECT_THAT(classes[1].names, ElementsAre("great white shark"));
  EXPECT_EQ(classes[2].synset, "n01443537");
  EXPECT_EQ(classes[2].prompt_name(), "goldfish");
  EXPECT_THAT(classes[3].names, ElementsAre("tiger shark", "Galeocerdo"));
  EXPECT_EQ(classes[3].all(), "tiger shark, Galeocerdo, n01491361");
  EXPECT_THAT(classes[4].names, IsEmpty());
  EXPECT_EQ(classes[4].prompt_name(), "");
  EXPECT_EQ(classes[5].prompt_name(), "n0149 house");
}

TEST_F(Prompts, ClassNamesInJson) {
  const auto classes = read_class_names(file("names.json", R"(["tench", "n01443537 gold, fish"])"));
  ASSERT_EQ(classes.size(), 2u);
  EXPECT_EQ(classes[0].prompt_name(), "tench");
  EXPECT_EQ(classes[1].all(), "gold, fish, n01443537");
}

TEST_F(Prompts, WrongClassNamesAreSaid) {
  const auto error = [&](const char* name, const char* text) {
    const auto path = file(name, text);
    return error_of([&] { read_class_names(path); });
  };
  EXPECT_THAT(error("a.txt", "\n \n"), HasSubstr("a.txt] expected the name of a class"));
  EXPECT_THAT(error("a.txt", "cat\n , ,\n"), HasSubstr("a.txt: line 2] expected a class's name"));
  EXPECT_THAT(error("a.txt", "c\xE4t\n"), HasSubstr("expected UTF-8"));
  EXPECT_THAT(error("a.json", R"({"0": "cat"})"), HasSubstr("expected an array"));
  EXPECT_THAT(error("a.json", R"(["cat", 3])"), HasSubstr("[1]] expected a class's name, got 3"));
}

TEST_F(Prompts, TemplatesNeedAPlaceForTheName) {
  const auto path = file("t.txt", "a photo of a {}.\n\n  {} or {}?\n");
  const auto templates = read_templates(path);
  EXPECT_THAT(templates, ElementsAre("a photo of a {}.", "{} or {}?"));
  EXPECT_EQ(fill_template(templates[1], "{}x"), "{}x or {}x?");
  const auto wrong = file("t.txt", "{}\n\na photo of a { }.\n");
  EXPECT_THAT(error_of([&] { read_templates(wrong); }),
              AllOf(HasSubstr("t.txt: line 3]"), HasSubstr("a photo of a { }.")));
  const auto empty = file("t.txt", "\n");
  EXPECT_THAT(error_of([&] { read_templates(empty); }), HasSubstr("expected a template"));
}

TEST_F(Prompts, SynsetsAreNAndEightDigits) {
  EXPECT_TRUE(is_synset("n01440764"));
  for (const char* other : {"n0144076", "n014407644", "x01440764", "n0144076a", ""}) {
    EXPECT_FALSE(is_synset(other)) << other;
  }
}

TEST_F(Prompts, SiglipsCanonicalText) {
  EXPECT_EQ(siglip_canonical(" A  (Ph\xC3\x96to)\t-- of_a\n{Dog}! ", true),
            "a ph\xC3\xB6to ofa dog");
  EXPECT_EQ(siglip_canonical("?!", true), "");
  EXPECT_EQ(siglip_canonical(" A  (Dog)!", false), " a  (dog)!");
}

TEST_F(Prompts, ClipCutsTextsButNotTheirEnd) {
  const auto tokenizer = text_test::tokenizer_of(text_test::small_byte_level(),
                                                 R"({"bos_token": "<s>", "eos_token": "ab"})");
  EXPECT_THAT(clip_ids(*tokenizer, "aaba", 77), ElementsAre(6, 0, 3, 0, 3));
  EXPECT_THAT(clip_ids(*tokenizer, "aaaaaa", 4), ElementsAre(6, 0, 0, 3));
  EXPECT_THAT(clip_ids(*tokenizer, "", 77), ElementsAre(6, 3));
  const auto endless =
      text_test::tokenizer_of(text_test::small_byte_level(), R"({"bos_token": "<s>"})");
  EXPECT_THAT(error_of([&] { clip_ids(*endless, "a", 77); }), HasSubstr("a token that ends"));
}

TEST_F(Prompts, ClipsOwnVocabulary) {
  const auto path = text_test::shared("clip-tokenizer/bpe_simple_vocab_16e6.txt.gz");
  SKIP_WITHOUT(path);
  // HF's CLIPTokenizer with the same vocabulary.
  EXPECT_THAT(clip_ids(*open_tokenizer(path), "A  photo of a CAT.", 77),
              ElementsAre(49406, 320, 1125, 539, 320, 2368, 269, 49407));
}

TEST_F(Prompts, SiglipFillsTextsUp) {
  const auto tokenizer =
      text_test::tokenizer_of(text_test::small_byte_level(), R"({"eos_token": "ab"})");
  EXPECT_THAT(siglip_ids(*tokenizer, {8, true}, "A.a", 6), ElementsAre(0, 0, 3, 8, 8, 8));
  EXPECT_THAT(siglip_ids(*tokenizer, {8, true}, "aaaaaaaa", 4), ElementsAre(0, 0, 0, 3));
}

TEST_F(Prompts, SiglipsSettings) {
  const auto tokenizer =
      text_test::tokenizer_of(text_test::small_byte_level(), R"({"eos_token": "ab"})");
  const auto settings = [&](const char* config) {
    file("tokenizer_config.json", config);
    return SiglipText::read(directory_.path(), *tokenizer);
  };
  EXPECT_EQ(SiglipText::read("nowhere", *tokenizer).pad, 3);
  EXPECT_EQ(settings("{}").pad, 3);
  EXPECT_TRUE(settings("{}").drops_punctuation);
  EXPECT_EQ(settings(R"({"pad_token": "<s>"})").pad, 6);
  EXPECT_EQ(settings(R"({"pad_token": {"content": "ab"}})").pad, 3);
  EXPECT_FALSE(settings(R"({"tokenizer_class": "GemmaTokenizer"})").drops_punctuation);
  EXPECT_THAT(error_of([&] { settings(R"({"pad_token": "zz"})"); }), HasSubstr("pad_token"));
  EXPECT_THAT(error_of([&] { settings(R"({"padding_side": "left"})"); }),
              HasSubstr("expected padding on the right"));
}

}  // namespace
}  // namespace massact
