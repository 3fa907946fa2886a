// `massact scan` on real files: what it finds, what it prints, what it writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "cli/models.h"
#include "cli/program.h"
#include "cli/results.h"
#include "json_schema.h"

namespace massact::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const json& expected() {
  static const json oracle = json_file(kPlanted / "expected.json");
  return oracle;
}

Arguments scan_planted(const Arguments& more = {}) {
  Arguments line = {"scan", kPlanted.string(), "--text", kText.string(), "--seq-len",
                    "64",   "--precision",     "f32"};
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

json scan_json(const Arguments& more = {}) {
  Arguments line = scan_planted(more);
  line.push_back("--json");
  const Outcome outcome = massact(line);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json::parse(outcome.out);
}

// Every (layer, dimension) at which something massive stands.
std::set<std::pair<int, int>> massive_places(const json& findings) {
  std::set<std::pair<int, int>> places;
  for (const json& finding : findings) {
    if (finding["label"] != "massive") continue;
    for (const json& layer : finding["layers"]) {
      places.emplace(layer["layer"].get<int>(), finding["dimension"].get<int>());
    }
  }
  return places;
}

std::set<std::pair<int, int>> expected_places() {
  std::set<std::pair<int, int>> places;
  for (const json& layer : expected()["layers"]) {
    for (const json& massive : layer["massive"]) {
      places.emplace(layer["layer"].get<int>(), massive["dim"].get<int>());
    }
  }
  return places;
}

class PlantedByRule : public ::testing::TestWithParam<const char*> {};

TEST_P(PlantedByRule, IsFoundAtItsLayersAndDimensions) {
  const json scan = scan_json({"--rule", GetParam()});
  EXPECT_EQ(massive_places(scan["findings"]["findings"]), expected_places());
  const json& strongest = scan["findings"]["findings"][0];
  EXPECT_EQ(strongest["token"], "<s>");
  EXPECT_EQ(strongest["position_class"], "start");
  EXPECT_EQ(strongest["dimension"], 19);
}

INSTANTIATE_TEST_SUITE_P(Rules, PlantedByRule, ::testing::Values("strict", "auto", "100,1000"),
                         [](const auto& rule) {
                           std::string name = rule.param;
                           std::replace(name.begin(), name.end(), ',', '_');
                           return name;
                         });

TEST(Scan, MeasuresTheLayerCurveOfTheOracle) {
  const json scan = scan_json();
  const json oracle = expected();
  EXPECT_EQ(scan["run"]["sequences"], oracle["chunks"]);
  EXPECT_EQ(scan["run"]["bos"], true);
  for (const json& layer : oracle["layers"]) {
    const json& row = scan["layers"][layer["layer"].get<std::size_t>()];
    ASSERT_EQ(row["layer"], layer["layer"]);
    const auto median = layer["median"].get<double>();
    const auto top = layer["top1"].get<double>();
    EXPECT_NEAR(row["median"].get<double>(), median, 1e-4 * median);
    EXPECT_NEAR(row["top"][0].get<double>(), top, 1e-4 * top);
  }
}

// The values of one (token, dimension) at one layer, summed up again over position classes.
TEST(Scan, MeasuresSignedMeansOfTheOracle) {
  const json scan = scan_json();
  for (const json& layer : expected()["layers"]) {
    for (const json& massive : layer["massive"]) {
      double sum = 0;
      std::int64_t count = 0;
      for (const json& finding : scan["findings"]["findings"]) {
        if (finding["token"] != massive["token"] || finding["dimension"] != massive["dim"])
          continue;
        for (const json& at : finding["layers"]) {
          if (at["layer"] != layer["layer"]) continue;
          sum += at["mean"].get<double>() * at["scalars"].get<double>();
          count += at["scalars"].get<std::int64_t>();
        }
      }
      EXPECT_EQ(count, massive["count"].get<std::int64_t>()) << layer["layer"] << massive;
      const auto mean = massive["mean"].get<double>();
      EXPECT_NEAR(sum / static_cast<double>(count), mean, 1e-4 * std::abs(mean));
    }
  }
}

TEST(Scan, JsonFollowsItsSchemaAndNothingElseIsPrinted) {
  Arguments line = scan_planted({"--json"});
  const Outcome outcome = massact(line);
  EXPECT_THAT(schema_errors(json::parse(outcome.out), schema("scan.schema.json")), IsEmpty());
  EXPECT_THAT(outcome.err, IsEmpty()) << "stderr is no terminal: no progress";
}

TEST(Scan, SameResultForAnyThreadsAndMemory) {
  const auto measured = [](const Arguments& more) {
    json scan = scan_json(more);
    scan.erase("run");
    scan.erase("origin");  // names the command and the time
    return scan;
  };
  const json one = measured({"--threads", "1"});
  EXPECT_EQ(one, measured({"--threads", "3"}));
  EXPECT_EQ(one, measured({"--memory", "42MiB"}));
}

// A CPU without matrix units or AVX-512 finds what this one finds, in bf16 too.
TEST(Scan, FindingsDoNotDependOnTheInstructionSet) {
  const auto places = [](const char* level) {
    RunSettings settings;
    settings.environment = {{"MASSACT_CPU", level}};
    Arguments line = scan_planted({"--json"});
    *std::find(line.begin(), line.end(), "f32") = "bf16";
    const Outcome outcome = massact(line, settings);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return massive_places(json::parse(outcome.out)["findings"]["findings"]);
  };
  const auto without = places("avx2");
  EXPECT_FALSE(without.empty());
  EXPECT_EQ(places("amx"), without);
}

TEST(Scan, PrintsATableThatFitsTheTerminal) {
  for (const char* columns : {"40", "80"}) {
    RunSettings settings;
    settings.environment = {{"COLUMNS", columns}, {"LC_ALL", "C"}};
    const Outcome outcome = massact(scan_planted(), settings);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("Massive activations"));
    EXPECT_THAT(outcome.out, HasSubstr("dimension 19"));
    EXPECT_THAT(outcome.out, Not(HasSubstr("\033"))) << "stdout is no terminal: no colours";
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), std::stoul(columns)) << line;
    }
  }
}

TEST(Scan, UsesTheTextThatShipsWithIt) {
  const Outcome outcome = massact({"scan", kPlanted.string(), "--seq-len", "64", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const json scan = json::parse(outcome.out);
  EXPECT_THAT(scan["run"]["text"].get<std::string>(), HasSubstr("ships with massact"));
  EXPECT_EQ(scan["run"]["sequences"], 32);
}

TEST(Scan, ReadsStandardInput) {
  RunSettings settings;
  settings.input = read_file(kText);
  Arguments line = {"scan", kPlanted.string(), "--text", "-",     "--seq-len",
                    "64",   "--precision",     "f32",    "--json"};
  const json from_stdin = json::parse(massact(line, settings).out);
  EXPECT_EQ(from_stdin["layers"], scan_json()["layers"]);
}

TEST(Scan, ScansOnlyTheLayersAskedFor) {
  const json scan = scan_json({"--layers", "0,2-3"});
  std::vector<int> layers;
  for (const json& row : scan["layers"]) layers.push_back(row["layer"].get<int>());
  EXPECT_EQ(layers, (std::vector<int>{0, 2, 3}));
}

TEST(Scan, SaysSoWhereNothingIsMassive) {
  const Outcome outcome = massact({"scan", (kGolden / "models/llama-mha").string(), "--tokens",
                                   (fresh_folder() / "tokens.bin").string()});
  EXPECT_EQ(outcome.status, 1) << "there is no such file";
  const fs::path model = kGolden / "models/planted";
  const Outcome first =
      massact({"scan", model.string(), "--text", kText.string(), "--layers", "1"});
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("No massive activation"));
  EXPECT_THAT(first.out, HasSubstr("not massive"));
}

TEST(ScanOut, WritesItsFilesAndReplacesThem) {
  const fs::path out = fresh_folder() / "results";
  const Outcome outcome = massact(scan_planted({"--out", out.string()}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("scan.json"));
  std::set<std::string> files;
  for (const auto& entry : fs::directory_iterator(out)) files.insert(entry.path().filename());
  EXPECT_EQ(files, (std::set<std::string>{"scan.json", "scan-layers.csv", "scan-findings.csv",
                                          "scan-top.csv", "scan-window.json"}));
  EXPECT_EQ(massive_places(json_file(out / "scan.json")["findings"]["findings"]),
            expected_places());

  EXPECT_EQ(massact(scan_planted({"--out", out.string(), "--layers", "1", "--quiet"})).err, "");
  EXPECT_EQ(json_file(out / "scan.json")["layers"].size(), 1u);
}

TEST(ScanOut, RefusesAnotherModelsFolder) {
  const fs::path folder = fresh_folder();
  const fs::path out = folder / "results";
  ASSERT_EQ(massact(scan_planted({"--out", out.string()})).status, 0);
  const std::string before = read_file(out / "scan.json");

  const fs::path other = copy_of_planted(folder);
  std::string weights = read_file(other / "model.safetensors");
  weights[weights.size() - 1] ^= 1;  // the lowest exponent bit of the last value
  write_file(other / "model.safetensors", weights);
  json config = json_file(other / "config.json");
  config["rms_norm_eps"] = 1e-5;
  write_file(other / "config.json", config.dump());
  Arguments line = {"scan", other.string(), "--text", kText.string(), "--out", out.string()};
  const Outcome refused = massact(line);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("another"));
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  EXPECT_EQ(read_file(out / "scan.json"), before);

  line.push_back("--force");
  EXPECT_EQ(massact(line).status, 0);
  EXPECT_NE(read_file(out / "scan.json"), before);
}

TEST(ScanOut, SameModelElsewhereIsTheSameModel) {
  const fs::path folder = fresh_folder();
  const fs::path out = folder / "results";
  ASSERT_EQ(massact(scan_planted({"--out", out.string()})).status, 0);
  const fs::path copy = copy_of_planted(folder);
  EXPECT_EQ(
      massact({"scan", copy.string(), "--text", kText.string(), "--out", out.string()}).status, 0);
}

TEST(Stories260K, HasNoMassiveActivation) {
  const fs::path data = shared_data();
  SKIP_WITHOUT(data);
  const Outcome outcome =
      massact({"scan", (data / "stories260K/stories260K.bin").string(), "--text",
               (data / "wikitext2/wiki.test.raw").string(), "--sequences", "8"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("No massive activation was found by the strict rule"));
  EXPECT_THAT(outcome.out, HasSubstr("The auto rule finds none either."));
}

}  // namespace
}  // namespace massact::testing
