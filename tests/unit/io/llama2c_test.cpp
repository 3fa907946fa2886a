#include "massact/io/llama2c.h"

#include <array>
#include <cstdlib>

#include "paths.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::bytes_of;
using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::HasSubstr;

struct Header {
  int dim = 4, hidden = 3, layers = 2, heads = 2, kv_heads = 1, vocab = 5, seq_len = 6;
};

// Every float of the file is its own index, so that a view tells where it points.
std::string checkpoint(const Header& h) {
  std::string bytes = bytes_of(h.dim, h.hidden, h.layers, h.heads, h.kv_heads, h.vocab, h.seq_len);
  const int kv_dim = h.dim / h.heads * h.kv_heads;
  const int layer = 2 * h.dim + 2 * h.dim * h.dim + 2 * kv_dim * h.dim + 3 * h.hidden * h.dim;
  const int vocab = std::abs(h.vocab);
  const int floats = vocab * h.dim + h.layers * layer + h.dim + h.seq_len * (h.dim / h.heads) +
                     (h.vocab < 0 ? vocab * h.dim : 0);
  for (int i = 0; i < floats; ++i) bytes += bytes_of(static_cast<float>(i));
  return bytes;
}

float first_of(const WeightSource& source, std::string_view name) {
  float value = 0;
  source.read(name, 0, 1, &value);
  return value;
}

TEST(Llama2c, PutsEveryTensorWhereTheFormatHasIt) {
  const TemporaryDirectory directory;
  const auto model = open_llama2c(directory.write("model.bin", checkpoint({})));
  EXPECT_EQ(model.config.dim, 4);
  EXPECT_EQ(model.config.vocab, 5);
  EXPECT_EQ(model.config.head_size(), 2);
  EXPECT_TRUE(model.config.tied_head);
  const WeightSource& weights = *model.weights;
  EXPECT_EQ(weights.tensors().size(), 2u + 2 * 9);
  EXPECT_EQ(weights.find("lm_head.weight"), nullptr);
  EXPECT_EQ(weights.info("model.layers.1.self_attn.k_proj.weight").shape, Shape({2, 4}));
  EXPECT_EQ(weights.info("model.layers.0.mlp.down_proj.weight").shape, Shape({4, 3}));
  EXPECT_EQ(weights.info("model.layers.0.mlp.up_proj.weight").shape, Shape({3, 4}));
  // Offsets by hand: embedding 20, then each kind for both layers.
  EXPECT_EQ(first_of(weights, "model.embed_tokens.weight"), 0);
  EXPECT_EQ(first_of(weights, "model.layers.1.input_layernorm.weight"), 24);
  EXPECT_EQ(first_of(weights, "model.layers.0.self_attn.q_proj.weight"), 28);
  EXPECT_EQ(first_of(weights, "model.layers.0.self_attn.k_proj.weight"), 60);
  EXPECT_EQ(first_of(weights, "model.layers.1.self_attn.v_proj.weight"), 84);
  EXPECT_EQ(first_of(weights, "model.layers.0.self_attn.o_proj.weight"), 92);
  EXPECT_EQ(first_of(weights, "model.layers.0.post_attention_layernorm.weight"), 124);
  EXPECT_EQ(first_of(weights, "model.layers.0.mlp.gate_proj.weight"), 132);
  EXPECT_EQ(first_of(weights, "model.layers.0.mlp.down_proj.weight"), 156);
  EXPECT_EQ(first_of(weights, "model.layers.1.mlp.up_proj.weight"), 192);
  EXPECT_EQ(first_of(weights, "model.norm.weight"), 204);
}

TEST(Llama2c, NegativeVocabularyMeansItsOwnHead) {
  const TemporaryDirectory directory;
  const auto model = open_llama2c(directory.write("m.bin", checkpoint({.vocab = -5})));
  EXPECT_FALSE(model.config.tied_head);
  EXPECT_EQ(model.config.vocab, 5);
  // Behind the norm (4) and the rotary tables (12).
  EXPECT_EQ(first_of(*model.weights, "lm_head.weight"), 204 + 4 + 12);
}

struct BadCheckpoint {
  const char* name;
  std::string bytes;
  const char* message;
};

class Llama2cRefuses : public testing::TestWithParam<BadCheckpoint> {};

TEST_P(Llama2cRefuses, WithOneClearError) {
  const TemporaryDirectory directory;
  const auto path = directory.write("bad.bin", GetParam().bytes);
  const auto message = error_of([&] { open_llama2c(path); });
  EXPECT_THAT(message, testing::AllOf(HasSubstr("bad.bin] expected"), HasSubstr("got"),
                                      HasSubstr(GetParam().message)));
}

std::string header_only(int dim, int hidden, int layers, int heads, int kv, int vocab, int seq) {
  return bytes_of(dim, hidden, layers, heads, kv, vocab, seq);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Llama2cRefuses,
    testing::Values(
        BadCheckpoint{"Short", "abcd", "header of 28 bytes, got a file of 4"},
        BadCheckpoint{"Truncated", checkpoint({}).substr(0, 500), "got 500 bytes"},
        BadCheckpoint{"TooLong", checkpoint({}) + "x", "got 909 bytes"},
        BadCheckpoint{"Versioned", bytes_of(0x616b3432, 1) + std::string(300, 'x'), "--version 0"},
        BadCheckpoint{"ZeroDim", header_only(0, 1, 1, 1, 1, 1, 1), "field dim to be positive"},
        BadCheckpoint{"NegativeLayers", header_only(4, 3, -2, 2, 1, 5, 6), "n_layers"},
        BadCheckpoint{"ZeroVocab", header_only(4, 3, 2, 2, 1, 0, 6), "vocab_size"},
        BadCheckpoint{"LeastVocab", header_only(4, 3, 2, 2, 1, INT32_MIN, 6),
                      "vocab_size 2147483648"},
        BadCheckpoint{"HeadsDoNotDivide", header_only(4, 3, 2, 3, 1, 5, 6), "multiple of n_heads"},
        BadCheckpoint{"OddHeadSize", header_only(6, 3, 2, 2, 1, 5, 6), "even multiple"},
        BadCheckpoint{"KvHeadsDoNotDivide", header_only(8, 3, 2, 4, 3, 5, 6), "n_kv_heads"},
        BadCheckpoint{"EveryFieldHuge",
                      header_only(0x7ffffffe, INT32_MAX, 10'000, 1, 1, INT32_MAX, INT32_MAX),
                      "got 28 bytes"},
        BadCheckpoint{"ManyLayers", header_only(4, 3, INT32_MAX, 2, 1, 5, 6), "at most 10000"}),
    [](const auto& case_info) { return case_info.param.name; });

TEST(Llama2c, OpensAPublishedModel) {
  const auto path = testing_support::shared_data() / "stories260K/stories260K.bin";
  SKIP_WITHOUT(path);
  const auto model = open_llama2c(path);
  EXPECT_EQ(model.config.layers, 5);
  EXPECT_EQ(model.config.kv_heads, 4);
  EXPECT_EQ(model.config.vocab, 512);
  EXPECT_TRUE(model.config.tied_head);
  // The gains of a trained model's norms are positive and of order one: offsets are right.
  std::array<float, 64> gains{};
  model.weights->read("model.norm.weight", 0, 64, gains.data());
  EXPECT_THAT(gains, testing::Each(testing::AllOf(testing::Gt(0.1f), testing::Lt(20.0f))));
}

}  // namespace
}  // namespace massact
