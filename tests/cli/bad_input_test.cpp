// Files that lie, disks that are full, users who change their mind: one clear error each, the right
// exit status, and nothing that looks like a result.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>

#include "cli/models.h"
#include "cli/program.h"

namespace massact::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fresh_folder();
    model_ = copy_of_planted(folder_);
    out_ = folder_ / "results";
  }

  Outcome scan(const Arguments& more = {}, const RunSettings& settings = {}) const {
    Arguments line = {"scan", model_.string(), "--out", out_.string(), "--seq-len", "64"};
    const bool has_input = !more.empty() && (more[0] == "--text" || more[0] == "--tokens");
    if (!has_input) line.insert(line.end(), {"--text", kText.string()});
    line.insert(line.end(), more.begin(), more.end());
    return massact(line, settings);
  }

  // One line on stderr, nothing on stdout, no result.
  void expect_refused(const Outcome& outcome, const std::vector<std::string>& said) const {
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("massact: ["));
    EXPECT_THAT(outcome.out, IsEmpty());
    for (const std::string& word : said) EXPECT_THAT(outcome.err, HasSubstr(word));
    EXPECT_FALSE(fs::exists(out_ / "scan.json"));
    if (fs::exists(out_)) {
      EXPECT_TRUE(fs::is_empty(out_)) << "left something behind";
    }
  }

  json config() const { return json::parse(read_file(model_ / "config.json")); }
  void set_config(const json& config) const { write_file(model_ / "config.json", config.dump()); }

  std::string weights() const { return read_file(model_ / "model.safetensors"); }
  void set_weights(std::string_view bytes) const {
    write_file(model_ / "model.safetensors", bytes);
  }

  // Byte offset in the file of a tensor's first element.
  static std::size_t offset_of(const std::string& file, const std::string& tensor) {
    std::uint64_t header = 0;
    std::memcpy(&header, file.data(), sizeof header);
    const json entries = json::parse(file.substr(8, header));
    return 8 + header + entries.at(tensor).at("data_offsets").at(0).get<std::size_t>();
  }

  fs::path folder_;
  fs::path model_;
  fs::path out_;
};

TEST_F(BadInput, NoSuchModel) {
  fs::remove_all(model_);
  expect_refused(scan(), {model_.string()});
}

TEST_F(BadInput, TruncatedWeights) {
  const std::string bytes = weights();
  set_weights(std::string_view(bytes).substr(0, bytes.size() - 100));
  expect_refused(scan(), {"model.safetensors", "expected", "got"});
}

TEST_F(BadInput, HeaderLongerThanTheFile) {
  std::string bytes = weights();
  const std::uint64_t length = std::uint64_t{1} << 60;
  std::memcpy(bytes.data(), &length, sizeof length);
  set_weights(bytes);
  expect_refused(scan(), {"model.safetensors", "header"});
}

TEST_F(BadInput, EmptyWeights) {
  set_weights("");
  expect_refused(scan(), {"model.safetensors"});
}

TEST_F(BadInput, MissingShards) {
  fs::remove(model_ / "model.safetensors");
  write_file(model_ / "model.safetensors.index.json",
             R"({"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors",
                 "b": "model-00002-of-00002.safetensors"}})");
  expect_refused(scan(), {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"});
}

TEST_F(BadInput, UnsupportedFamilyListsWhatIsSupported) {
  json changed = config();
  changed["model_type"] = "perceiver";
  set_config(changed);
  expect_refused(scan(), {"config.json", "perceiver", "llama", "gpt2"});
}

TEST_F(BadInput, ConfigThatIsNoJson) {
  write_file(model_ / "config.json", "{\"hidden_size\": 32,");
  expect_refused(scan(), {"config.json"});
}

TEST_F(BadInput, ConfigThatContradictsTheWeights) {
  json changed = config();
  changed["intermediate_size"] = 64;
  set_config(changed);
  expect_refused(scan(), {"mlp", "64", "48"});
}

TEST_F(BadInput, NotANumberInTheWeightsNamesLayerAndTensor) {
  std::string bytes = weights();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + offset_of(bytes, "model.layers.3.mlp.down_proj.weight"), &nan,
              sizeof nan);
  set_weights(bytes);
  const Outcome outcome = scan();
  expect_refused(outcome, {"blocks.3", "model.layers.3.mlp.down_proj.weight"});
}

// Weights outside of the blocks act before the first and behind the last check.
TEST_F(BadInput, NotANumberInTheOutputMatrixNamesIt) {
  std::string bytes = weights();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + offset_of(bytes, "lm_head.weight"), &nan, sizeof nan);
  set_weights(bytes);
  expect_refused(massact({"eval", model_.string(), "--text", kText.string(), "--seq-len", "64"}),
                 {"hook_logits", "lm_head.weight"});
}

TEST_F(BadInput, Utf16IsNotReadAsText) {
  const fs::path text = folder_ / "wide.txt";
  write_file(text, std::string("\xff\xfe"
                               "h\0i\0",
                               6));
  expect_refused(scan({"--text", text.string()}), {"wide.txt", "UTF-16"});
}

TEST_F(BadInput, EmptyText) {
  const fs::path text = folder_ / "empty.txt";
  write_file(text, "");
  expect_refused(scan({"--text", text.string()}), {"empty.txt"});
}

TEST_F(BadInput, NoSuchText) {
  expect_refused(scan({"--text", (folder_ / "missing.txt").string()}), {"missing.txt"});
}

TEST_F(BadInput, TokenOutOfRange) {
  const fs::path tokens = folder_ / "tokens.npy";
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }";
  header.resize(117, ' ');
  header += '\n';
  std::string bytes =
      std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header;
  for (const std::int32_t id : {1, 349, 2}) {
    bytes.append(reinterpret_cast<const char*>(&id), sizeof id);
  }
  write_file(tokens, bytes);
  expect_refused(scan({"--tokens", tokens.string()}), {"349"});
}

TEST_F(BadInput, TooLittleMemorySaysHowMuchIsNeeded) {
  const Outcome outcome = scan({"--memory", "4096"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--memory"));
}

// Runs with the budget that the refusal of a smaller one names, and with a tenth of a MiB less.
template <typename RunWith>
void expect_named_budget_is_the_least(const RunWith& run_with) {
  const Outcome refused = run_with("1M");
  ASSERT_EQ(refused.status, 2) << refused.err;
  std::smatch least;
  ASSERT_TRUE(
      std::regex_search(refused.err, least, std::regex("at least ([0-9]+)[.]?([0-9]?) MiB")))
      << refused.err;
  const int tenths = std::stoi(least[1].str() + (least[2].length() == 0 ? "0" : least[2].str()));
  const auto mib = [](int value) { return fmt::format("{}.{}MiB", value / 10, value % 10); };
  const Outcome enough = run_with(mib(tenths)), too_little = run_with(mib(tenths - 1));
  EXPECT_EQ(enough.status, 0) << enough.err;
  EXPECT_EQ(too_little.status, 2) << too_little.err;
}

TEST_F(BadInput, TheBudgetThatIsNamedIsEnoughAndTheLeast) {
  for (const char* command : {"scan", "eval", "explain", "ablate"}) {
    SCOPED_TRACE(command);
    expect_named_budget_is_the_least([&](const std::string& budget) {
      return massact({command, model_.string(), "--text", kText.string(), "--seq-len", "256",
                      "--memory", budget});
    });
  }
}

// GPT-2's kernels are viewed as they are in the file, but decoded as a whole where one is edited.
TEST_F(BadInput, TheNamedBudgetHoldsEditedWeightsToo) {
  const fs::path plan = folder_ / "plan.json";
  write_file(plan, R"({"schema": "massact.edit-plan", "schema_version": 1, "variants": [
    {"name": "w", "weights": [{"weight": "blocks.1.mlp.W_in", "row": 3}]}]})");
  expect_named_budget_is_the_least([&](const std::string& budget) {
    return massact({"ablate", (source_folder() / "models/mini-gpt2").string(), "--plan",
                    plan.string(), "--text", kText.string(), "--seq-len", "16", "--threads", "2",
                    "--memory", budget});
  });
}

TEST_F(BadInput, OutIsAFile) {
  write_file(out_, "mine");
  const Outcome outcome = scan();
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("expected a directory, got a file"));
  EXPECT_EQ(read_file(out_), "mine");
}

TEST_F(BadInput, FullDiskLeavesNoPartialReport) {
  RunSettings settings;
  settings.largest_file = 1000;
  expect_refused(scan({}, settings), {out_.string()});
}

TEST_F(BadInput, FullDiskLeavesNoPartialTrace) {
  RunSettings settings;
  settings.largest_file = 1000;
  const fs::path file = folder_ / "trace.safetensors";
  const Outcome outcome = massact({"trace", model_.string(), "--site", "resid_post", "--text",
                                   kText.string(), "--out", file.string()},
                                  settings);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("trace.safetensors"));
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(BadInput, TraceMakesTheFoldersOfItsFile) {
  const fs::path file = folder_ / "deep/er/trace.safetensors";
  const Arguments line = {"trace",  model_.string(), "--site", "hook_embed",
                          "--text", kText.string(),  "--out",  file.string()};
  EXPECT_EQ(massact(line).status, 0);
  EXPECT_TRUE(fs::exists(file));
}

TEST_F(BadInput, InterruptStopsWithoutAResult) {
  RunSettings settings;
  settings.input = read_file(kText);
  RunningProgram program({"scan", model_.string(), "--text", "-", "--out", out_.string()},
                         settings);
  // It waits for its text; what it is told meanwhile it must notice in the run.
  ASSERT_TRUE(program.wait_until_handled(SIGINT));
  kill(program.pid(), SIGINT);
  const Outcome outcome = program.finish();
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, StartsWith("massact: [interrupted]"));
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace massact::testing
