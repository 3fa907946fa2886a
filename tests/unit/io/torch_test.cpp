// PyTorch checkpoints that torch.save wrote (tools/golden/make_torch.py), and what is refused.
#include "massact/io/torch_checkpoint.h"

#include "massact/io/safetensors.h"
#include "paths.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::read_all;
using io_test::TemporaryDirectory;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::golden_folder;
using testing_support::shared_data;
using testing_support::source_folder;

std::filesystem::path golden(const char* name) { return golden_folder() / "torch" / name; }

std::vector<float> floats(const WeightSource& source, const std::string& name) {
  std::vector<float> values(static_cast<std::size_t>(source.info(name).shape.element_count(name)));
  source.read(name, 0, static_cast<std::int64_t>(values.size()), values.data());
  return values;
}

// What a seed of the fuzzers is refused for.
std::string refusal(const char* kind, const char* seed) {
  const TemporaryDirectory directory;
  const auto bytes = read_all(source_folder() / "tests/fuzz/seeds" / kind / seed);
  const auto path = directory.write("x.pth", bytes);
  return error_of([&] { open_torch_checkpoint(path); });
}

TEST(Torch, EveryTensorHasTheValuesThatTorchSaved) {
  const TorchCheckpoint checkpoint = open_torch_checkpoint(golden("odd.pth"));
  const auto expected = open_safetensors(golden("values.safetensors"));
  const WeightSource& got = *checkpoint.weights;
  ASSERT_EQ(got.tensors().size(), expected->tensors().size());
  for (const TensorInfo& tensor : expected->tensors()) {
    const TensorInfo& info = got.info(tensor.name);
    EXPECT_EQ(info.shape, tensor.shape) << tensor.name;
    EXPECT_EQ(info.type, tensor.type) << tensor.name;
    EXPECT_EQ(info.encoding, tensor.encoding) << tensor.name;
    EXPECT_EQ(info.bytes, tensor.bytes) << tensor.name;
    if (info.viewable && info.bytes > 0) {
      const TensorView a = got.view(tensor.name), b = expected->view(tensor.name);
      EXPECT_EQ(std::memcmp(a.data, b.data, a.byte_count()), 0) << tensor.name;
    }
    const bool floating = tensor.name != "whole" && tensor.name != "flags";
    if (floating) {
      EXPECT_EQ(floats(got, tensor.name), floats(*expected, tensor.name)) << tensor.name;
    }
  }
  for (const char* strided : {"transposed", "stepped", "permuted"}) {
    EXPECT_FALSE(got.info(strided).viewable) << strided;
    EXPECT_THAT(error_of([&] { got.view(strided); }), HasSubstr("read it instead"));
  }
  std::array<float, 3> part{};
  got.read("transposed", 2, 3, part.data());  // rows 0 and 0, 1 of [6, 4]
  EXPECT_THAT(part, testing::ElementsAre(12.0f, 18.0f, 1.0f));
}

TEST(Torch, StateDictsAreFoundUnderTheirKeysAndWithoutWrappers) {
  const TorchCheckpoint checkpoint = open_torch_checkpoint(golden("wrapped.pth"));
  EXPECT_EQ(checkpoint.state_key, "teacher");
  EXPECT_NE(checkpoint.weights->find("transposed"), nullptr);
  EXPECT_EQ(checkpoint.values["epoch"], 3);
  EXPECT_EQ(checkpoint.values["args"], nlohmann::json::parse(R"([1, "x"])"));
  EXPECT_THAT(error_of([] { open_torch_checkpoint(golden("wrapped.pth"), "student"); }),
              AllOf(HasSubstr("'student'"), HasSubstr("teacher")));
}

TEST(Torch, ARealCheckpoint) {
  const auto path = shared_data() / "gpt2-style-torch-checkpoint/ckpt.pt";
  SKIP_WITHOUT(path);
  const TorchCheckpoint checkpoint = open_torch_checkpoint(path);
  EXPECT_EQ(checkpoint.state_key, "model_state");
  EXPECT_EQ(checkpoint.values["config"]["n_layer"], 4);
  EXPECT_EQ(checkpoint.values["n_params"], 211712);
  std::int64_t parameters = 0;  // its README counts them; the head is the embedding
  for (const TensorInfo& tensor : checkpoint.weights->tensors()) {
    const bool counted = !tensor.name.ends_with("mask") && tensor.name != "head.weight";
    if (counted) parameters += tensor.shape.element_count();
  }
  EXPECT_EQ(parameters, 211712);
  EXPECT_EQ(floats(*checkpoint.weights, "head.weight"),
            floats(*checkpoint.weights, "tok_emb.weight"));
}

TEST(Torch, TheLegacyFormatIsRefusedWithAHint) {
  EXPECT_THAT(error_of([] { open_torch_checkpoint(golden("legacy.pth")); }),
              AllOf(HasSubstr("legacy"), HasSubstr("weights_only=True")));
}

TEST(Torch, CodeIsRefusedByNameAndNotExecuted) {
  EXPECT_THAT(refusal("torch", "refused-code"),
              AllOf(HasSubstr("refused the global 'posix.system'"), HasSubstr("data.pkl: byte")));
  EXPECT_FALSE(std::filesystem::exists("executed"));
}

TEST(Torch, TensorsOutsideOfTheirStorageAreRefused) {
  EXPECT_THAT(refusal("torch", "refused-offset"), HasSubstr("within the storage's 4"));
  EXPECT_THAT(refusal("torch", "refused-stride"), HasSubstr("within the storage's 4"));
  EXPECT_THAT(refusal("torch", "refused-expanded"), HasSubstr("expanded"));
  EXPECT_THAT(refusal("torch", "refused-negative"), HasSubstr("at least 0"));
  EXPECT_THAT(refusal("torch", "refused-type"), HasSubstr("got 16 bytes"));
  EXPECT_THAT(refusal("torch", "refused-missing-storage"), HasSubstr("found none"));
}

TEST(Torch, NamesAreShortAndPlain) {
  EXPECT_THAT(refusal("torch", "refused-long-name"), HasSubstr("at most 1024 bytes"));
  EXPECT_THAT(refusal("torch", "refused-control-name"), HasSubstr("control characters"));
  EXPECT_THAT(refusal("torch", "refused-repeated-dict"), HasSubstr("got none"));
}

// tools/golden/make_openai_clip.py
TEST(Torch, ScriptsAreReadForTheirTensors) {
  const TorchCheckpoint checkpoint = open_torch_checkpoint(golden("openai-clip.pt"));
  EXPECT_TRUE(checkpoint.is_script);
  const WeightSource& weights = *checkpoint.weights;
  EXPECT_EQ(weights.info("visual.conv1.weight").shape, Shape({128, 3, 5, 5}));
  EXPECT_EQ(weights.info("visual.conv1.weight").type, DType::f16);
  EXPECT_EQ(weights.info("transformer.resblocks.1.ln_2.bias").type, DType::f32);
  EXPECT_EQ(weights.info("logit_scale").shape.element_count(), 1);
  EXPECT_NE(weights.find("vocab_size"), nullptr);
  EXPECT_FALSE(open_torch_checkpoint(golden("wrapped.pth")).is_script);
}

TEST(Torch, OnlyScriptsHaveObjectsAndOnlyOfTheirOwnClasses) {
  EXPECT_THAT(refusal("torch", "refused-object"), HasSubstr("'__torch__.M'"));
  EXPECT_THAT(refusal("torch", "refused-script-code"),
              HasSubstr("refused the global 'posix.system'"));
  EXPECT_THAT(refusal("torch", "refused-script-of-a-set"), HasSubstr("'__builtin__.set'"));
  EXPECT_THAT(refusal("torch", "refused-script-cycle"), HasSubstr("nested less than"));
  EXPECT_THAT(refusal("torch", "refused-script-laughs"), HasSubstr("attributes"));
  EXPECT_THAT(refusal("torch", "refused-script-empty"), HasSubstr("got none"));
  EXPECT_FALSE(std::filesystem::exists("executed"));
}

TEST(Torch, BadArchivesAreRefused) {
  EXPECT_THAT(refusal("torch", "refused-compressed"), HasSubstr("without compression"));
  EXPECT_THAT(refusal("torch", "refused-truncated"), HasSubstr("truncated"));
  EXPECT_THAT(refusal("torch", "refused-overlap"), HasSubstr("header"));
}

}  // namespace
}  // namespace massact
