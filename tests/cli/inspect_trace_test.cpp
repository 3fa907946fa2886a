// `massact inspect` and `massact trace` on real files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "cli/models.h"
#include "cli/program.h"
#include "cli/results.h"
#include "json_schema.h"
#include "massact/io/safetensors.h"

namespace massact::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Inspect, ShowsShapeParametersMemoryAndTime) {
  const Outcome outcome = massact({"inspect", kPlanted.string()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("llama"), HasSubstr("6 layers"), HasSubstr("width 32"),
                                 HasSubstr("parameters"), HasSubstr("memory"), HasSubstr("time"),
                                 HasSubstr("4 heads share 2 key/value heads")));
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST(Inspect, JsonCountsEveryParameterOnce) {
  const Outcome outcome =
      massact({"inspect", kPlanted.string(), "--json", "--sequences", "3", "--seq-len", "50"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json inspection = json::parse(outcome.out);
  std::int64_t elements = 0;
  for (const json& tensor : inspection["tensors"]) {
    std::int64_t product = 1;
    for (const json& extent : tensor["shape"]) product *= extent.get<std::int64_t>();
    elements += product;
  }
  EXPECT_EQ(inspection["parameters"], elements);
  EXPECT_EQ(inspection["run"]["sequences"], 3);
  EXPECT_EQ(inspection["run"]["seq_len"], 50);
  EXPECT_GT(inspection["run"]["memory_bytes"], 0);
}

TEST(Inspect, PathsNeedNotBeUtf8) {
  const fs::path folder = fresh_folder() / "caf\xe9";
  fs::create_directories(folder);
  const fs::path model = copy_of_planted(folder);
  const Outcome inspected = massact({"inspect", model.string(), "--json"});
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  EXPECT_THAT(json::parse(inspected.out)["model"]["path"].get<std::string>(),
              HasSubstr("caf\uFFFD/"));
  const fs::path out = folder / "h.safetensors";
  const Outcome traced = massact({"trace", model.string(), "--text", kText.string(), "--sequences",
                                  "1", "--site", "hook_embed", "--out", out.string()});
  EXPECT_EQ(traced.status, 0) << traced.err;
  EXPECT_THAT(read_safetensors_metadata(out).at("model"), HasSubstr("caf\uFFFD/"));
}

TEST(Inspect, ListsTensors) {
  const Outcome outcome = massact({"inspect", kPlanted.string(), "--tensors"});
  EXPECT_THAT(outcome.out,
              HasSubstr("model.layers.5.mlp.down_proj.weight F32 [32, 48]\n  blocks.5.mlp.W_out "
                        "[32, 48]\n"));
}

TEST(Inspect, NamesTheWeightsThatEditPlansTakeOfEveryTensor) {
  // The file's projections lie as [inputs, outputs], those of queries, keys and values in one.
  const fs::path gpt2 = kGolden / "models" / "gpt2";
  const Outcome text = massact({"inspect", gpt2.string(), "--tensors"});
  EXPECT_THAT(text.out, HasSubstr("h.0.attn.c_attn.weight F32 [21, 63]\n"
                                  "  blocks.0.attn.W_K [21, 21], blocks.0.attn.W_Q [21, 21], "
                                  "blocks.0.attn.W_V [21, 21]\n"));
  const Outcome outcome = massact({"inspect", gpt2.string(), "--json"});
  const json inspection = json::parse(outcome.out);
  EXPECT_EQ(schema_errors(inspection, schema("inspect.schema.json")), std::vector<std::string>{});
  for (const json& tensor : inspection["tensors"]) {
    if (tensor["name"] == "h.0.mlp.c_fc.weight") {
      EXPECT_EQ(tensor["weights"],
                json::parse(R"([{"name": "blocks.0.mlp.W_in", "rows": 53, "columns": 21}])"));
    }
    if (tensor["name"] == "h.0.attn.bias") {
      EXPECT_EQ(tensor["weights"], json::array());
    }
  }
}

TEST(Trace, ValuesAreThoseOfTheOracle) {
  const auto oracle = open_safetensors(kPlanted / "sites.safetensors");
  const std::string site = "blocks.3.hook_resid_post";
  const TensorInfo& info = oracle->info("seq1/" + site);
  const std::int64_t count = info.shape.element_count(site);
  std::vector<float> wanted(static_cast<std::size_t>(count));
  oracle->read("seq1/" + site, 0, count, wanted.data());

  // The oracle's own tokens, so that the sequences are the same.
  const fs::path folder = fresh_folder();
  const TensorView tokens = oracle->view("seq1/tokens");
  std::vector<std::int64_t> ids(static_cast<std::size_t>(tokens.shape.element_count("tokens")));
  std::memcpy(ids.data(), tokens.data, ids.size() * sizeof(std::int64_t));
  std::string header =
      "{'descr': '<i8', 'fortran_order': False, 'shape': (" + std::to_string(ids.size()) + ",), }";
  header.resize(117, ' ');
  header += '\n';
  write_file(
      folder / "tokens.npy",
      std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
          std::string(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]));

  const fs::path file = folder / "trace.safetensors";
  const Outcome outcome =
      massact({"trace", kPlanted.string(), "--site", "resid_post", "--layers", "4", "--site",
               "hook_logits", "--tokens", (folder / "tokens.npy").string(), "--precision", "f32",
               "--bos", "no", "--out", file.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;

  const auto trace = open_safetensors(file);
  EXPECT_EQ(trace->tensors().size(), 2u);
  EXPECT_NE(trace->find("hook_logits"), nullptr);
  const TensorInfo& traced = trace->info(site);
  EXPECT_EQ(traced.shape.element_count(site), count);
  EXPECT_EQ(traced.shape[0], 1);
  std::vector<float> values(static_cast<std::size_t>(count));
  trace->read(site, 0, count, values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(values[i], wanted[i], 1e-4 * std::abs(wanted[i]) + 1e-4) << i;
  }
  EXPECT_EQ(json::parse(read_safetensors_metadata(file).at("tokens")), json::array({ids}));
}

}  // namespace
}  // namespace massact::testing
