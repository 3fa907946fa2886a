// Preparing text. Without libtorch, as the program that does it.
#include "train/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "helpers.h"
#include "massact/base/error.h"
#include "massact/text/tokenizer.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string preparing(const PrepareOptions& options) {
  try {
    prepare(options, [](const std::string&) {});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Some tens of kilobytes of sentences, different everywhere.
std::string sample_text() {
  static const char* const kWords[] = {"river",   "stone", "the",    "a",     "walks",   "under",
                                       "green",   "old",   "winter", "light", "and",     "sings",
                                       "harbour", "of",    "small",  "bird",  "quietly", "opens"};
  std::string text;
  std::uint32_t state = 1;
  for (int i = 0; i < 6000; ++i) {
    state = state * 1664525u + 1013904223u;
    text += kWords[(state >> 16) % std::size(kWords)];
    text += i % 11 == 10 ? ".\n" : " ";
  }
  return text;
}

/// Options for `sample_text` with a vocabulary of 300.
PrepareOptions sample_options(const TemporaryFolder& folder) {
  std::ofstream(folder / "sample.txt") << sample_text();
  PrepareOptions options;
  options.texts = {folder / "sample.txt"};
  options.out = folder / "data";
  options.vocab_size = 300;
  options.val_fraction = 0.1;
  return options;
}

TEST(Prepare, WritesTheTextAsTokens) {
  const TemporaryFolder folder;
  const PrepareOptions options = sample_options(folder);
  ASSERT_EQ(preparing(options), "no error");
  const auto header = DataHeader::read(options.out / "data.json");
  EXPECT_EQ(header.vocab_size, 300);
  EXPECT_EQ(header.bos_id, 1);
  const auto tokenizer = open_tokenizer(options.out / "tokenizer.model");
  EXPECT_TRUE(tokenizer->adds_bos());
  // Validation text is the end of the text: both together are the whole.
  std::vector<std::int32_t> ids;
  for (const char* name : {"train.bin", "val.bin"}) {
    const auto file = TokenFile::open(options.out / name, TokenWidth::u16);
    for (const auto id : file.read(0, file.size())) ids.push_back(static_cast<std::int32_t>(id));
  }
  const std::string decoded = tokenizer->decode(ids);
  EXPECT_EQ(decoded.substr(decoded.front() == ' ' ? 1 : 0), sample_text());
  EXPECT_NEAR(double(header.val.tokens) / double(ids.size()), 0.1, 0.01);
}

TEST(Prepare, IsReproducible) {
  const TemporaryFolder folder;
  PrepareOptions options = sample_options(folder);
  ASSERT_EQ(preparing(options), "no error");
  options.out = folder / "again";
  ASSERT_EQ(preparing(options), "no error");
  for (const char* name : {"train.bin", "val.bin", "data.json"}) {
    EXPECT_EQ(read_file(folder / "data" / name), read_file(folder / "again" / name)) << name;
  }
}

TEST(Prepare, TakesAnExistingSentencepieceModel) {
  const TemporaryFolder folder;
  PrepareOptions options = sample_options(folder);
  ASSERT_EQ(preparing(options), "no error");
  options.tokenizer = options.out / "tokenizer.model";
  options.out = folder / "again";
  ASSERT_EQ(preparing(options), "no error");
  EXPECT_EQ(read_file(folder / "data" / "train.bin"), read_file(folder / "again" / "train.bin"));
  options.tokenizer = folder / "sample.txt";
  EXPECT_THAT(preparing(options), HasSubstr("tokenizer.json or a .model"));
}

TEST(Prepare, TakesAnExistingTokenizerJson) {
  const TemporaryFolder folder;
  PrepareOptions options = sample_options(folder);
  // One token per byte of the words above, and GPT-2's end of text in front of sequences.
  std::ofstream(folder / "tokenizer.json") << R"({"version": "1.0",
    "added_tokens": [{"id": 0, "content": "<|endoftext|>", "special": true, "single_word": false,
                      "lstrip": false, "rstrip": false, "normalized": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                      "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
              "vocab": {"<|endoftext|>": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7,
                        "h": 8, "i": 9, "j": 10, "k": 11, "l": 12, "m": 13, "n": 14, "o": 15,
                        "p": 16, "q": 17, "r": 18, "s": 19, "t": 20, "u": 21, "v": 22, "w": 23,
                        "x": 24, "y": 25, "z": 26, ".": 27, "\u0120": 28, "\u010a": 29, "th": 30},
              "merges": ["t h"]}})";
  std::ofstream(folder / "tokenizer_config.json") << R"({"bos_token": "<|endoftext|>"})";
  options.tokenizer = folder / "tokenizer.json";
  ASSERT_EQ(preparing(options), "no error");
  const auto header = DataHeader::read(options.out / "data.json");
  EXPECT_EQ(header.vocab_size, 31);
  EXPECT_EQ(header.bos_id, 0);
  EXPECT_THAT(header.tokenizer_files,
              testing::ElementsAre("tokenizer.json", "tokenizer_config.json"));
  const std::string text = sample_text();
  std::size_t merged = 0;
  for (std::size_t i = text.find("th"); i != std::string::npos; i = text.find("th", i + 2))
    ++merged;
  EXPECT_EQ(header.train.tokens + header.val.tokens, std::int64_t(text.size() - merged));
}

TEST(Prepare, RefusesTextsThatAreTooSmallOrMissing) {
  const TemporaryFolder folder;
  std::ofstream(folder / "small.txt") << "too small";
  PrepareOptions options;
  options.texts = {folder / "small.txt"};
  options.out = folder / "data";
  EXPECT_THAT(preparing(options), HasSubstr("large enough for a vocabulary of 2048"));
  options.texts = {folder / "missing.txt"};
  EXPECT_THAT(preparing(options), Not(HasSubstr("no error")));
}

}  // namespace
}  // namespace massact::train
