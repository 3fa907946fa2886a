// `massact report`: what it runs, what it reuses, what it says about what it cannot use. The page
// itself is tested in a browser (tests/web).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Arguments on_planted(const std::string& command, const fs::path& out) {
  return {command, kPlanted.string(), "--text", kText.string(), "--seq-len",
          "64",    "--bos",           "yes",    "--out",        out.string()};
}

Outcome report(const Arguments& paths, const fs::path& out, const RunSettings& settings = {}) {
  Arguments line = {"report"};
  line.insert(line.end(), paths.begin(), paths.end());
  line.insert(line.end(), {"--out", out.string()});
  return massact(line, settings);
}

// A directory with the results of a scan and an ablation of the planted model.
fs::path planted_results(const fs::path& folder) {
  EXPECT_EQ(massact(on_planted("scan", folder)).status, 0);
  EXPECT_EQ(massact(on_planted("ablate", folder)).status, 0);
  return folder;
}

TEST(Report, MeasuresWhatIsMissingAndReusesWhatIsThere) {
  const fs::path out = fresh_folder() / "report";
  const Outcome first = massact(on_planted("report", out));
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(schema_errors(json_file(out / "planted/scan.json"), schema("scan.schema.json")),
              IsEmpty());
  EXPECT_THAT(
      schema_errors(json_file(out / "planted/scan-window.json"), schema("scan-window.schema.json")),
      IsEmpty());
  EXPECT_THAT(schema_errors(json_file(out / "planted/ablate.json"), schema("ablate.schema.json")),
              IsEmpty());
  EXPECT_THAT(schema_errors(json_file(out / "planted/report-steps.json"),
                            schema("report-steps.schema.json")),
              IsEmpty());
  const std::string scan = read_file(out / "planted/scan.json");

  const Outcome second = massact(on_planted("report", out));
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.err, AllOf(HasSubstr("scan.json is there"), HasSubstr("ablate.json is there"),
                                HasSubstr("explain.json is there")));
  EXPECT_EQ(read_file(out / "planted/scan.json"), scan);
}

TEST(Report, RefusesResultsMadeWithOtherFlags) {
  const fs::path folder = fresh_folder();
  const fs::path out = folder / "report";
  fs::copy_file(kText, folder / "text.txt");
  Arguments line = on_planted("report", out);
  line[3] = (folder / "text.txt").string();
  ASSERT_EQ(massact(line).status, 0);
  const std::string scan = read_file(out / "planted/scan.json");
  const auto expect_refusal = [&](const Arguments& now, const std::string& why) {
    const Outcome outcome = massact(now);
    EXPECT_EQ(outcome.status, 1) << why;
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr("expected results made with the same flags, got scan.json, "
                                "scan-window.json, ablate.json, explain.json with " +
                                why),
                      HasSubstr("--force")));
    EXPECT_EQ(read_file(out / "planted/scan.json"), scan) << why;
  };
  Arguments longer = line;
  longer[5] = "96";
  expect_refusal(longer, "--seq-len 64 in place of 96 (");
  Arguments more = line;
  more.insert(more.end(), {"--rule", "auto", "--precision", "int8", "--sequences", "9"});
  expect_refusal(more,
                 "--sequences 32 in place of 9, --rule strict in place of auto, --precision f32 in "
                 "place of int8 (");
  Arguments quick = line;
  quick.push_back("--quick");
  expect_refusal(quick, "--sequences 32 in place of 8 (");
  // What the text says counts, not what it is called.
  write_file(folder / "text.txt", read_file(kText) + "One more line.\n");
  expect_refusal(line, "--text text.txt [");
  line[3] = kText.string();
  expect_refusal(line, "--text text.txt [");

  longer.push_back("--force");
  ASSERT_EQ(massact(longer).status, 0);
  EXPECT_EQ(json_file(out / "planted/scan.json")["run"]["seq_len"], 96);
  longer.pop_back();
  EXPECT_THAT(massact(longer).err, HasSubstr("scan.json is there, made with the same flags"));
}

TEST(Report, RefusesWhatItDidNotMakeAndMeasuresWhatWasRemoved) {
  const fs::path out = fresh_folder() / "report";
  const Arguments line = on_planted("report", out);
  ASSERT_EQ(massact(line).status, 0);
  Arguments scan = on_planted("scan", out / "planted");
  scan[5] = "32";
  ASSERT_EQ(massact(scan).status, 0);
  const Outcome refused = massact(line);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("scan.json, scan-window.json that report did not make"),
                                 Not(HasSubstr("ablate.json"))));
  EXPECT_EQ(json_file(out / "planted/scan.json")["run"]["seq_len"], 32);
  fs::remove(out / "planted/scan.json");
  fs::remove(out / "planted/scan-window.json");
  const Outcome again = massact(line);
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(json_file(out / "planted/scan.json")["run"]["seq_len"], 64);
  EXPECT_THAT(again.err, AllOf(HasSubstr("ablate.json is there"), Not(HasSubstr("scan.json is"))));
}

TEST(Report, RefusesStandardInput) {
  const fs::path out = fresh_folder() / "report";
  const Outcome outcome =
      massact({"report", kPlanted.string(), "--text", "-", "--out", out.string()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("[--text] expected files"));
  EXPECT_FALSE(fs::exists(out));
}

TEST(Report, TellsHowAResultWasMade) {
  const fs::path results = fresh_folder() / "results";
  ASSERT_EQ(massact(on_planted("scan", results)).status, 0);
  const json origin = json_file(results / "scan.json")["origin"];
  const auto command = origin["command"].get<std::string>();
  EXPECT_THAT(command, HasSubstr("massact scan " + kPlanted.string() + " --text"));
  EXPECT_THAT(origin["written"].get<std::string>(),
              ::testing::MatchesRegex("20..-..-..T..:..:..Z"));
  EXPECT_GE(origin["machine"]["cores"].get<int>(), 1);
}

TEST(Report, WritesTablesAndDrawsFiguresFromThem) {
  const fs::path folder = fresh_folder();
  const Outcome outcome = report({planted_results(folder / "results").string()}, folder / "out");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const fs::path figures = folder / "out/figures";
  std::istringstream table(read_file(figures / "data/results-layers.tsv"));
  std::string header;
  std::getline(table, header);
  EXPECT_EQ(header, "# layer\ttop1\ttop2\ttop3\tmedian");
  for (const json& row : json_file(folder / "results/scan.json")["layers"]) {
    double layer = 0, top1 = 0, top2 = 0, top3 = 0, median = 0;
    table >> layer >> top1 >> top2 >> top3 >> median;
    EXPECT_EQ(layer, row["layer"].get<double>());
    EXPECT_EQ(top1, row["top"][0].get<double>());
    EXPECT_EQ(top3, row["top"][2].get<double>());
    EXPECT_EQ(median, row["median"].get<double>());
  }
  if (outcome.err.find("gnuplot is not installed") != std::string::npos) {
    GTEST_SKIP() << "gnuplot is not installed";
  }
  for (const char* name :
       {"results-bars", "results-layers", "results-constancy", "results-ablation"}) {
    const std::string svg = read_file(figures / (std::string(name) + ".svg"));
    EXPECT_THAT(svg, AllOf(HasSubstr("<svg"), HasSubstr("</svg>"))) << name;
    EXPECT_TRUE(read_file(figures / (std::string(name) + ".png")).starts_with("\x89PNG")) << name;
    EXPECT_TRUE(read_file(figures / (std::string(name) + ".pdf")).starts_with("%PDF")) << name;
  }
}

// Of images the ablation's figure has top-1 in percent; a model without a slot has none in its key.
TEST(Report, DrawsAVisionModelsAblation) {
  const fs::path out = fresh_folder() / "out";
  const Outcome outcome =
      massact({"report", (kGolden / "planted-vit/model").string(), "--images",
               (kGolden / "planted-vit/images/list.csv").string(), "--out", out.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const fs::path data = out / "figures/data";
  std::istringstream table(read_file(data / "model-ablation.tsv"));
  std::string header;
  std::getline(table, header);
  EXPECT_EQ(header, "# row\tvalue\terror");
  const json ablate = json_file(out / "model/ablate.json");
  EXPECT_GE(ablate["variants"].size(), 3u);
  for (const json& variant : ablate["variants"]) {
    double row = 0, value = 0, error = 0;
    ASSERT_TRUE(table >> row >> value >> error) << variant["name"];
    const json& top1 = variant["measures"]["images"]["top1"];
    EXPECT_DOUBLE_EQ(value, 100 * top1["value"].get<double>());
    EXPECT_DOUBLE_EQ(error, 100 * top1["error"].get<double>());
  }
  EXPECT_THAT(read_file(data / "model-ablation.gp"), HasSubstr("top-1 accuracy, %"));
  const std::string bias = read_file(data / "model-bias.gp");
  EXPECT_THAT(bias, AllOf(HasSubstr("'constant'"), Not(HasSubstr("slot"))));
}

// On a full disk gnuplot writes a part and ends with 0.
TEST(Report, AFigureThatIsNotWholeIsAnErrorAndLeavesNothing) {
  if (std::system("command -v gnuplot > /dev/null") != 0) GTEST_SKIP() << "no gnuplot";
  const fs::path folder = fresh_folder();
  const fs::path results = planted_results(folder / "results");
  RunSettings settings;
  settings.largest_file = 25'000;  // more than any table and script, less than most figures
  const Outcome outcome = report({results.string()}, folder / "out", settings);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("massact: [figures] results-bars: ["),
                                 HasSubstr("is the disk full?")));
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder / "out/figures")) {
    names.insert(entry.path().filename().string());
  }
  for (const std::string& name : names) {
    if (name == "data") continue;
    EXPECT_FALSE(name.ends_with(".tmp")) << name;
    const std::string stem = name.substr(0, name.rfind('.'));
    for (const char* ending : {".svg", ".png", ".pdf"}) EXPECT_TRUE(names.count(stem + ending));
  }
  EXPECT_FALSE(names.count("results-bars.svg"));
}

TEST(Report, SaysWhichFiguresNeedGnuplot) {
  const fs::path folder = fresh_folder();
  const fs::path results = planted_results(folder / "results");
  RunSettings nothing_installed;
  nothing_installed.environment["PATH"] = folder.string();
  const Outcome outcome = report({results.string()}, folder / "out", nothing_installed);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("results-bars: gnuplot is not installed"),
                                 HasSubstr("apt-get install gnuplot-nox")));
  EXPECT_TRUE(fs::exists(folder / "out/figures/data/results-bars.gp"));
  EXPECT_FALSE(fs::exists(folder / "out/figures/results-bars.svg"));
}

TEST(Report, NamesTheVersionsItCannotRead) {
  const fs::path folder = fresh_folder();
  const fs::path results = planted_results(folder / "results");
  json ablate = json_file(results / "ablate.json");
  ablate["schema_version"] = 2;
  ablate["massact_version"] = "9.9";
  write_file(results / "ablate.json", ablate.dump());
  const Outcome newer = report({results.string()}, folder / "out");
  EXPECT_EQ(newer.status, 0);
  EXPECT_THAT(newer.err,
              HasSubstr("ablate.json has schema version 2, this massact reads version 1"));

  json scan = json_file(results / "scan.json");
  scan["schema_version"] = 0;
  write_file(results / "scan.json", scan.dump());
  fs::remove(results / "scan-window.json");
  const Outcome nothing = report({results.string()}, folder / "out");
  EXPECT_EQ(nothing.status, 1);
  EXPECT_THAT(nothing.err, AllOf(HasSubstr("expected a usable result file"),
                                 HasSubstr("scan.json has schema version 0")));
}

TEST(Report, GoesWithoutADamagedPart) {
  const fs::path folder = fresh_folder();
  const fs::path results = planted_results(folder / "results");
  write_file(results / "ablate.json", "{\"schema\": \"massact.ablate\", ");
  const Outcome outcome = report({results.string()}, folder / "out");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("results: without the ablation"));
}

TEST(Report, RefusesResultsOfTwoModelsInOneDirectory) {
  const fs::path folder = fresh_folder();
  const fs::path results = planted_results(folder / "results");
  json ablate = json_file(results / "ablate.json");
  ablate["model"]["hash"] = "0123456789abcdef";
  write_file(results / "ablate.json", ablate.dump());
  const Outcome outcome = report({results.string()}, folder / "out");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("expected results of one model"));
}

TEST(Report, RefusesAFileAsOutput) {
  const fs::path folder = fresh_folder();
  write_file(folder / "out", "mine");
  const Outcome outcome = massact(on_planted("report", folder / "out"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("expected a directory, got a file"));
  EXPECT_EQ(read_file(folder / "out"), "mine");
}

// Enough text to scan, too little to calibrate an ablation.
Outcome report_on_little(const fs::path& folder, const Arguments& more = {}) {
  write_file(folder / "short.txt", read_file(kText).substr(0, 300));
  Arguments line = on_planted("report", folder / "out");
  line[3] = (folder / "short.txt").string();
  line.insert(line.end(), more.begin(), more.end());
  return massact(line);
}

std::vector<std::string> last_lines(const std::string& text, std::size_t count) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  lines.erase(lines.begin(),
              lines.end() - static_cast<std::ptrdiff_t>(std::min(count, lines.size())));
  return lines;
}

// A copy of the planted model half of whose weights are not numbers: it opens, and no step works.
fs::path model_of_nans(const fs::path& folder) {
  const fs::path model = copy_of_planted(folder);
  std::string weights = read_file(model / "model.safetensors");
  std::fill(weights.begin() + static_cast<std::ptrdiff_t>(weights.size() / 2), weights.end(),
            static_cast<char>(0xFF));
  write_file(model / "model.safetensors", weights);
  return model;
}

TEST(Report, AStepThatFailsCostsItsPartAndTheExitStatus) {
  const fs::path folder = fresh_folder();
  const Outcome outcome = report_on_little(folder);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(fs::exists(folder / "out/planted/scan.json"));
  EXPECT_TRUE(fs::exists(folder / "out/planted/explain.json"));
  EXPECT_TRUE(fs::exists(folder / "out/figures/data/planted-layers.tsv"));
  EXPECT_FALSE(fs::exists(folder / "out/planted/ablate.json"));
  const std::vector<std::string> last = last_lines(outcome.err, 2);
  ASSERT_EQ(last.size(), 2u) << outcome.err;
  EXPECT_THAT(last[0], AllOf(HasSubstr("massact: [planted] ablate failed: "),
                             HasSubstr("expected a mean of a dimension")));
  EXPECT_THAT(last[1], HasSubstr("massact: [report] expected every step to work, got 1 "));

  const Outcome quiet = report_on_little(folder, {"--quiet"});
  EXPECT_EQ(quiet.status, 1);
  EXPECT_EQ(last_lines(quiet.err, 9), last);
}

TEST(Report, AModelThatFailsAltogetherLeavesTheOthers) {
  const fs::path folder = fresh_folder();
  const fs::path damaged = model_of_nans(folder);
  Arguments line = on_planted("report", folder / "out");
  line.insert(line.begin() + 2, damaged.string());
  const Outcome outcome = massact(line);
  EXPECT_EQ(outcome.status, 1);
  const std::vector<std::string> last = last_lines(outcome.err, 4);
  ASSERT_EQ(last.size(), 4u) << outcome.err;
  EXPECT_THAT(last[0], AllOf(HasSubstr("[model] scan failed: "), HasSubstr("finite")));
  EXPECT_THAT(last[1], HasSubstr("[model] ablate failed: "));
  EXPECT_THAT(last[2], HasSubstr("[model] explain failed: "));
  EXPECT_THAT(last[3], HasSubstr("got 3 that failed"));
  EXPECT_TRUE(fs::exists(folder / "out/figures/data/planted-layers.tsv"));

  line.erase(line.begin() + 1);
  line.back() = (folder / "alone").string();
  EXPECT_EQ(massact(line).status, 1);
  EXPECT_FALSE(fs::exists(folder / "alone/figures"));
  EXPECT_FALSE(fs::exists(folder / "alone/report.html"));
}

TEST(Report, ForceMeasuresAnotherModelsDirectoryAgain) {
  const fs::path folder = fresh_folder();
  const fs::path other = copy_of_planted(folder);
  write_file(other / "config.json", read_file(other / "config.json") + "\n");  // another hash
  ASSERT_EQ(massact(on_planted("report", folder / "out")).status, 0);
  fs::rename(folder / "out/planted", folder / "out/model");
  Arguments line = on_planted("report", folder / "out");
  line[1] = other.string();
  const Outcome refused = massact(line);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("expected results of this model"));
  line.push_back("--force");
  const Outcome forced = massact(line);
  EXPECT_EQ(forced.status, 0) << forced.err;
  std::set<std::string> hashes;
  for (const char* file : {"scan.json", "ablate.json", "explain.json"}) {
    hashes.insert(json_file(folder / "out/model" / file)["model"]["hash"].get<std::string>());
  }
  EXPECT_EQ(hashes.size(), 1u);
}

// The ablation needs a second image, and says so as wrong usage.
TEST(Report, AStepThatDoesNotTakeTheseFlagsFailsAlone) {
  const fs::path out = fresh_folder() / "out";
  const Outcome outcome =
      massact({"report", (kGolden / "vision/timm-mean").string(), "--images",
               (kGolden / "planted-vit/images/00-0.png").string(), "--out", out.string()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("massact: [timm-mean] ablate failed: "));
  EXPECT_TRUE(fs::exists(out / "timm-mean/scan.json"));
  EXPECT_TRUE(fs::exists(out / "timm-mean/pictures.json"));
  EXPECT_TRUE(fs::exists(out / "figures/data/timm-mean-layers.tsv"));
}

TEST(Report, SaysOnceWhatNoStepCanDoWithout) {
  const fs::path out = fresh_folder() / "out";
  const Outcome pixels =
      massact({"report", (kGolden / "vision/vit").string(), "--images",
               (kGolden / "planted-vit/images/list.csv").string(), "--out", out.string()});
  EXPECT_EQ(pixels.status, 1);
  EXPECT_THAT(pixels.err,
              AllOf(HasSubstr("expected preprocessor_config.json"), Not(HasSubstr("failed"))));
  const Outcome tokens =
      massact({"report", (kGolden / "models/gpt2").string(), "--out", out.string()});
  EXPECT_EQ(tokens.status, 1);
  EXPECT_THAT(tokens.err, AllOf(HasSubstr("expected a tokenizer"), Not(HasSubstr("failed"))));
  EXPECT_FALSE(fs::exists(out));
}

TEST(Report, ChecksAllPathsBeforeItMeasures) {
  const fs::path folder = fresh_folder();
  fs::create_directories(folder / "empty");
  Arguments line = on_planted("report", folder / "out");
  line.insert(line.begin() + 2, (folder / "empty").string());
  const Outcome outcome = massact(line);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("empty"));
  EXPECT_FALSE(fs::exists(folder / "out/planted/scan.json"));
}

TEST(Report, RefusesWhatIsNeitherModelNorResult) {
  const fs::path folder = fresh_folder();
  fs::create_directories(folder / "empty");
  const Outcome outcome = report({(folder / "empty").string()}, folder / "out");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("empty"));
  EXPECT_FALSE(fs::exists(folder / "out/report.html"));
}

TEST(Report, KeepsModelsApartWhoseNamesDifferOnlyByCase) {
  const fs::path folder = fresh_folder();
  const fs::path upper = folder / "Model";
  const fs::path lower = folder / "model";
  fs::copy(kPlanted, upper);
  fs::copy(kPlanted, lower);
  const fs::path out = folder / "out";
  Arguments line = on_planted("report", out);
  line[1] = upper.string();
  line.insert(line.begin() + 2, lower.string());
  const Outcome outcome = massact(line);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  int results = 0;
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(out)) {
    if (!fs::exists(entry.path() / "scan.json")) continue;
    ++results;
    std::string name = entry.path().filename().string();
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    names.insert(name);
  }
  EXPECT_EQ(results, 2);
  EXPECT_EQ(names.size(), 2u);
}

TEST(Report, QuickReadsLess) {
  const fs::path out = fresh_folder() / "report";
  Arguments line = on_planted("report", out);
  line[5] = "16";                                            // --seq-len
  line.insert(line.end(), {"--quick", "--rule", "500,50"});  // what the calibration window has too
  const Outcome outcome = massact(line);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json_file(out / "planted/scan.json")["run"]["sequences"], 8);
}

}  // namespace
}  // namespace massact::testing
