// What the metadata of GGUF files mean where they say little: as llama.cpp takes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "massact/model/model.h"
#include "paths.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::bytes_of;
using io_test::error_of;
using io_test::gguf_string;
using io_test::TemporaryDirectory;
using testing::HasSubstr;

// A golden GGUF file with changed metadata.
class Changed {
 public:
  explicit Changed(const std::string& name)
      : bytes_(io_test::read_all(testing_support::golden_folder() / "gguf" / "models" /
                                 (name + ".gguf"))) {}

  /// Renames a key, so that it is not found.
  Changed& without(const std::string& key) {
    const auto at = bytes_.find(key);
    EXPECT_NE(at, std::string::npos) << key;
    bytes_[at + key.size() - 1] = '~';
    return *this;
  }
  Changed& with(const std::string& key, float value) {
    constexpr std::uint32_t kF32 = 6;
    return add(gguf_string(key) + bytes_of(kF32, value));
  }
  Changed& with(const std::string& key, const std::string& value) {
    constexpr std::uint32_t kString = 8;
    return add(gguf_string(key) + bytes_of(kString) + gguf_string(value));
  }
  Model open() const { return open_model(directory_.write("m.gguf", bytes_)); }

 private:
  // Before all others; another one behind it keeps what follows aligned to 32 bytes.
  Changed& add(std::string pair) {
    constexpr std::uint32_t kString = 8;
    const std::string filler =
        gguf_string("test.filler" + std::to_string(added_)) + bytes_of(kString);
    const std::size_t size = pair.size() + filler.size() + sizeof(std::uint64_t);
    pair += filler + gguf_string(std::string((32 - size % 32) % 32, 'x'));
    constexpr std::size_t kPairCount = 16, kPairs = 24;
    bytes_.insert(kPairs, pair);
    bytes_[kPairCount] = static_cast<char>(bytes_[kPairCount] + 2);
    ++added_;
    return *this;
  }

  std::string bytes_;
  int added_ = 0;
  TemporaryDirectory directory_;
};

TEST(GgufConfig, AScalingFactorAloneIsLinear) {
  const RopeConfig plain = Changed("llama-gqa-tied").open().config().rope;
  EXPECT_EQ(plain.scaling, RopeScaling::none);
  for (const char* key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    const RopeConfig rope = Changed("llama-gqa-tied").with(key, 4.0f).open().config().rope;
    EXPECT_EQ(rope.scaling, RopeScaling::linear) << key;
    EXPECT_EQ(rope.factor, 4.0) << key;
  }
  const RopeConfig zero =
      Changed("llama-gqa-tied").with("llama.rope.scaling.factor", 0.0f).open().config().rope;
  EXPECT_EQ(zero, plain) << "nothing is meant by zero";
  const RopeConfig none = Changed("llama-gqa-tied")
                              .with("llama.rope.scaling.factor", 4.0f)
                              .with("llama.rope.scaling.type", "none")
                              .open()
                              .config()
                              .rope;
  EXPECT_EQ(none, plain);
}

TEST(GgufConfig, TheBaseOfRotaryIsTenThousandUnlessGiven) {
  const Model mixtral = Changed("mixtral").without("llama.rope.freq_base").open();
  EXPECT_EQ(mixtral.config().family, "mixtral");
  EXPECT_EQ(mixtral.config().rope.base, 10000.0);  // HF's own default is a million
}

TEST(GgufConfig, ATokenizerThatCannotBeReadNamesTheWayOut) {
  const std::string error = error_of(
      [] { Changed("llama-gqa-tied").with("tokenizer.ggml.model", std::string("bert")).open(); });
  EXPECT_THAT(error,
              HasSubstr("m.gguf: tokenizer.ggml.tokens] expected this metadata key, got none "
                        "(another can be given with --tokenizer)"));
}

TEST(GgufConfig, NormsWithoutAnEpsAreRefused) {
  Changed changed("llama-gqa-tied");
  changed.without("llama.attention.layer_norm_rms_epsilon");
  EXPECT_THAT(error_of([&] { changed.open(); }),
              HasSubstr("llama.attention.layer_norm_rms_epsilon] expected the eps of the norms"));
}

}  // namespace
}  // namespace massact
