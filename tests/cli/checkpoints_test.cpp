// What people have beside plain safetensors, as the program's user meets it: PyTorch checkpoints,
// quantised weights, adapters, mixtures of experts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/models.h"
#include "cli/program.h"

namespace massact::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string model(const char* name) { return (kGolden / "models" / name).string(); }

// Token ids as nanoGPT stores them.
std::string token_file(const std::filesystem::path& folder) {
  std::string bytes;
  for (int i = 0; i < 96; ++i) bytes += {static_cast<char>(i * 7 % 54), '\0'};
  write_file(folder / "tokens.bin", bytes);
  return (folder / "tokens.bin").string();
}

json inspected(const Arguments& arguments) {
  Arguments all = {"inspect", "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Outcome outcome = massact(all);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json::parse(outcome.out);
}

std::int64_t count_of(const json& inspection, const std::string& encoding) {
  const json& tensors = inspection["tensors"];
  return std::count_if(tensors.begin(), tensors.end(),
                       [&](const json& tensor) { return tensor["encoding"] == encoding; });
}

TEST(Checkpoints, InspectTellsWhatACheckpointHolds) {
  const json inspection = inspected({model("nanogpt")});
  ASSERT_EQ(inspection["files"].size(), 1u);
  EXPECT_THAT(inspection["files"][0].get<std::string>(),
              AllOf(HasSubstr("the weights are its 'model'"),
                    HasSubstr("not used: optimizer, model_args")));
}

TEST(Checkpoints, InspectNamesTheQuantisation) {
  for (const auto& [name, encoding, method, count] :
       {std::tuple{"llama-fp8", "FP8 E4M3 (8x16)", "quantised by fp8", 14},
        {"llama-gptq", "GPTQ 4-bit", "quantised by gptq", 14},
        {"llama-awq", "AWQ 4-bit", "quantised by awq", 14},
        {"llama-nf4-nested", "NF4", "quantised by bitsandbytes", 14},
        {"gpt-oss-mxfp4", "MXFP4", "quantised by mxfp4", 4}}) {
    const json inspection = inspected({model(name)});
    EXPECT_EQ(count_of(inspection, encoding), count) << name;
    EXPECT_THAT(inspection["files"][0].get<std::string>(), HasSubstr(method)) << name;
  }
}

TEST(Checkpoints, AnUnknownQuantisationIsRefusedByName) {
  const auto copy = fresh_folder() / "model";
  std::filesystem::copy(kGolden / "models/llama-fp8", copy);
  json config = json::parse(read_file(copy / "config.json"));
  config["quantization_config"]["quant_method"] = "hqq";
  write_file(copy / "config.json", config.dump());
  const Outcome outcome = massact({"inspect", copy.string()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("quantization_config.quant_method] expected one of fp8, gptq, "
                                     "awq, bitsandbytes, mxfp4, got 'hqq'"));
}

TEST(Checkpoints, CodeInACheckpointIsRefusedByName) {
  const auto folder = fresh_folder();
  const auto seed = source_folder() / "tests/fuzz/seeds/torch/refused-code";
  write_file(folder / "model.pt", read_file(seed));
  const Outcome outcome = massact({"scan", (folder / "model.pt").string()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("refused the global 'posix.system'"));
}

TEST(Checkpoints, ARealTrainedCheckpointIsScanned) {
  const auto path = shared_data() / "gpt2-style-torch-checkpoint/ckpt.pt";
  SKIP_WITHOUT(path);
  const Outcome outcome = massact(
      {"scan", path.string(), "--tokens", token_file(fresh_folder()), "--seq-len", "32", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json scan = json::parse(outcome.out);
  EXPECT_EQ(scan["model"]["family"], "nanogpt");
  EXPECT_EQ(scan["layers"].size(), 5u);
  EXPECT_EQ(scan["routing"], nullptr);
}

TEST(Adapters, AreMergedAndNamed) {
  const std::string adapter = (kGolden / "adapters/llama-lora").string();
  const json inspection = inspected({model("llama-gqa-tied"), "--adapter", adapter});
  EXPECT_THAT(inspection["files"][0].get<std::string>(),
              HasSubstr("rank 3, 6 weights changed, 0 replaced"));
  EXPECT_EQ(count_of(inspection, "F32 + LoRA"), 6);
}

TEST(Adapters, NeedABaseWithHuggingFacesNames) {
  const std::string adapter = (kGolden / "adapters/llama-lora").string();
  std::filesystem::path gguf;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kGolden / "gguf")) {
    if (entry.path().extension() == ".gguf") gguf = entry.path();
  }
  ASSERT_FALSE(gguf.empty());
  const Outcome outcome = massact({"inspect", gguf.string(), "--adapter", adapter});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("[--adapter]"));
}

// A folder without config.json, as people download GGUF files.
TEST(GgufFolders, OpenTheirOnlyModel) {
  namespace fs = std::filesystem;
  const fs::path golden = kGolden / "gguf/models/llama-gqa-tied.gguf";
  const fs::path folder = fresh_folder();
  const fs::path snapshot = folder / "models--x--y" / "snapshots" / "abc";
  const fs::path blobs = folder / "models--x--y" / "blobs";
  fs::create_directories(snapshot);
  fs::create_directories(blobs);
  fs::copy_file(golden, blobs / "0f1e2d");
  fs::create_symlink("../../blobs/0f1e2d", snapshot / "tied.GGUF");
  const json expected = inspected({golden.string()})["tensors"];
  ASSERT_FALSE(expected.empty());
  for (const fs::path& path :
       {folder / "models--x--y", snapshot, snapshot / "tied.GGUF", blobs / "0f1e2d"}) {
    EXPECT_EQ(inspected({path.string()})["tensors"], expected) << path;
  }
  fs::copy_file(golden, snapshot / "second.gguf");
  const Outcome outcome = massact({"inspect", (folder / "models--x--y").string()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("expected one model, got 2"), HasSubstr("tied.GGUF"),
                                 HasSubstr("second.gguf")));
  const Outcome empty = massact({"inspect", blobs.parent_path().parent_path().string()});
  EXPECT_EQ(empty.status, 1);
  EXPECT_THAT(empty.err, HasSubstr("expected config.json or one .gguf file"));
}

TEST(GgufFolders, MayKeepTheOriginalsConfig) {
  namespace fs = std::filesystem;
  const fs::path golden = kGolden / "gguf/models/llama-gqa-tied.gguf";
  const fs::path folder = fresh_folder();
  write_file(folder / "config.json", R"({"model_type": "llama"})");
  fs::copy_file(golden, folder / "tied.gguf");
  EXPECT_EQ(inspected({folder.string()})["tensors"], inspected({golden.string()})["tensors"]);
  fs::remove(folder / "tied.gguf");
  const Outcome outcome = massact({"inspect", folder.string()});
  EXPECT_EQ(outcome.status, 1);
}

TEST(Experts, ScanReportsWhichExpertsSawTheTokens) {
  const std::string tokens = token_file(fresh_folder());
  const Outcome outcome =
      massact({"scan", model("mixtral"), "--tokens", tokens, "--seq-len", "16", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json routing = json::parse(outcome.out)["routing"];
  EXPECT_EQ(routing["experts"], 5);
  ASSERT_EQ(routing["layers"].size(), 2u);
  int sent = 0;
  for (const json& load : routing["layers"][0]["load"]) sent += load.get<int>();
  EXPECT_EQ(sent, 96 * 2);  // every token to two experts
  ASSERT_FALSE(routing["findings"].empty());
  for (const json& finding : routing["findings"]) {
    int seen = 0;
    for (const json& count : finding["experts"]) seen += count["tokens"].get<int>();
    EXPECT_EQ(seen, 2 * finding["tokens"].get<int>());
  }
  const Outcome text = massact({"scan", model("mixtral"), "--tokens", tokens, "--seq-len", "16"});
  EXPECT_THAT(text.out, HasSubstr("Experts that saw these tokens (2 of 5 per token)"));
}

TEST(Experts, SitesInsideExpertsAreAbsentWithAReason) {
  const auto out = fresh_folder() / "x.safetensors";
  const Outcome outcome =
      massact({"trace", model("mixtral"), "--tokens", token_file(fresh_folder()), "--site",
               "blocks.0.mlp.hook_pre", "--out", out.string()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("see mlp.hook_router"));
}

}  // namespace
}  // namespace massact::testing
