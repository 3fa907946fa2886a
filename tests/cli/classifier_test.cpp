// Top-1 as a user measures it where the checkpoint has no classifier: zero-shot with class names,
// linear heads from files; and what labels are taken for. The judge is HF's logits
// (tools/golden/make_zeroshot.py, make_heads.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

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
using ::testing::Not;

const fs::path kHeads = kGolden / "heads";

struct Logits {
  std::vector<float> values;
  std::size_t classes = 0;

  std::vector<double> row(std::size_t image) const {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(image * classes);
    return {first, first + static_cast<std::ptrdiff_t>(classes)};
  }
};

Logits read_logits(const fs::path& file, const std::string& name) {
  const auto source = open_safetensors(file);
  const Shape& shape = source->info(name).shape;
  Logits logits{std::vector<float>(static_cast<std::size_t>(shape.element_count())),
                static_cast<std::size_t>(shape[1])};
  source->read(name, 0, shape.element_count(), logits.values.data());
  return logits;
}

struct Measured {
  double top1 = 0, top5 = 0, kl = 0, agreement = 0;
};

std::vector<double> softmax(std::vector<double> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& x : logits) sum += x = std::exp(x - largest);
  for (double& x : logits) x /= sum;
  return logits;
}

// Over the images that do not calibrate (all but every fifth).
Measured measure(const Logits& original, const Logits& edited,
                 const std::vector<std::int64_t>& labels) {
  Measured sum;
  double count = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (i % 5 == 0) continue;
    const auto x = original.row(i), y = edited.row(i), p = softmax(x), q = softmax(y);
    const double own = y[static_cast<std::size_t>(labels[i])];
    const auto better = std::count_if(y.begin(), y.end(), [&](double z) { return z > own; });
    sum.top1 += better == 0;
    sum.top5 += better < 5;
    for (std::size_t c = 0; c < p.size(); ++c) sum.kl += p[c] * std::log(p[c] / q[c]);
    sum.agreement += std::max_element(x.begin(), x.end()) - x.begin() ==
                     std::max_element(y.begin(), y.end()) - y.begin();
    ++count;
  }
  return {sum.top1 / count, sum.top5 / count, sum.kl / count, sum.agreement / count};
}

void expect_measured(const json& variant, const Measured& expected, bool original) {
  const json& images = variant["measures"]["images"];
  EXPECT_NEAR(images["top1"]["value"], expected.top1, 1e-9);
  EXPECT_NEAR(images["top5"]["value"], expected.top5, 1e-9);
  if (original) return;
  const json& divergence = variant["measures"]["divergence"];
  EXPECT_NEAR(divergence["mean_kl"]["value"], expected.kl, 1e-3 * expected.kl);
  EXPECT_NEAR(divergence["top1_agreement"]["value"], expected.agreement, 1e-9);
}

std::string plan_of(int layer, const std::string& positions) {
  return R"({"schema": "massact.edit-plan", "schema_version": 1, "variants": [{"name": "cleared",
    "edits": [{"layer": )" +
         std::to_string(layer) + R"(, "positions": )" + positions + R"(, "action": "zero"}]}]})";
}

class Classifiers : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = fresh_folder(); }
  fs::path file(const std::string& name, const std::string& text) const {
    write_file(folder_ / name, text);
    return folder_ / name;
  }
  fs::path folder_;
};

// ---- zero-shot ----

class ZeroShot : public Classifiers, public ::testing::WithParamInterface<std::string> {
 protected:
  fs::path model() const { return kGolden / "zeroshot" / GetParam(); }
  fs::path images() const {
    return GetParam() == "siglip" ? model() / "images.csv" : model() / "images";
  }
  Outcome run(const std::string& command, const Arguments& more = {}) const {
    Arguments line = {command,           model().string(), "--images",
                      images().string(), "--precision",    "f32"};
    line.insert(line.end(), more.begin(), more.end());
    return massact(line);
  }
  Arguments classes() const {
    return {"--class-names", (model() / "classes.txt").string(), "--templates",
            (model() / "templates.txt").string()};
  }
};

TEST_P(ZeroShot, AblateMeasuresWhatHfDoes) {
  const fs::path golden = model() / "expected.safetensors";
  const auto source = open_safetensors(golden);
  const TensorView view = source->view("labels");
  std::vector<std::int64_t> labels(static_cast<std::size_t>(view.shape[0]));
  std::memcpy(labels.data(), view.data, labels.size() * sizeof(std::int64_t));
  const Logits original = read_logits(golden, "logits");
  const Logits edited = read_logits(golden, "edited_logits");

  Arguments more = classes();
  more.insert(more.end(), {"--plan", file("plan.json", plan_of(1, "[1, 3, 4, 8]")).string(),
                           "--out", (folder_ / "out").string()});
  const Outcome outcome = run("ablate", more);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("classes: zero-shot, 6 classes, 3 templates"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("top-1 is not measured")));
  const json result = json::parse(read_file(folder_ / "out/ablate.json"));
  EXPECT_EQ(schema_errors(result, schema("ablate.schema.json")), std::vector<std::string>{});
  expect_measured(result["variants"][0], measure(original, original, labels), true);
  expect_measured(result["variants"][1], measure(original, edited, labels), false);
}

TEST_P(ZeroShot, TheDefaultTemplateIsAPhoto) {
  const auto top1 = [&](const Arguments& more) {
    Arguments line = {"--class-names", (model() / "classes.txt").string(), "--json"};
    line.insert(line.end(), more.begin(), more.end());
    const Outcome outcome = run("ablate", line);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    json result = json::parse(outcome.out);
    return std::pair(result["images"]["classifier"].get<std::string>(),
                     result["variants"].back()["measures"]);
  };
  const auto template_file = file("one.txt", "a photo of a {}.\n");
  const auto given = top1({"--templates", template_file.string()}), otherwise = top1({});
  EXPECT_EQ(given, otherwise);
  EXPECT_THAT(given.first, HasSubstr("\"a photo of a {}.\""));
}

TEST_P(ZeroShot, WithoutNamesThereIsAHint) {
  const Outcome outcome = run("ablate");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), AllOf(HasSubstr("top-1 is not measured"),
                                       HasSubstr("--class-names and the text tower make one")));
}

TEST_P(ZeroShot, WhatIsWrongIsSaid) {
  const auto failure = [&](const Arguments& more) {
    const Outcome outcome = run("ablate", more);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.out, IsEmpty());
    return flat(outcome.err);
  };
  const std::string names = (model() / "classes.txt").string();
  const auto bad = file("bad.txt", "a photo of a {}.\n\nno place\n");
  EXPECT_THAT(
      failure({"--class-names", names, "--templates", bad.string()}),
      AllOf(HasSubstr("bad.txt: line 3] expected a template with {}"), HasSubstr("\"no place\"")));
  EXPECT_THAT(failure({"--templates", bad.string()}), HasSubstr("expected --class-names as well"));
  const auto few = file("few.txt", "tabby\ngoldfish\n");
  EXPECT_THAT(failure({"--class-names", few.string()}),
              HasSubstr("expected labels that are among the names or numbers of the 2 classes"));
  const auto ids = file("ids.txt", "n02123045\nn02106662\nn01443537\nn03028079\n");
  EXPECT_THAT(failure({"--class-names", ids.string()}), HasSubstr("expected"));
  EXPECT_THAT(failure({"--class-names", (folder_ / "none.txt").string()}), HasSubstr("none.txt"));
  EXPECT_THAT(failure({"--class-names", names, "--head", names}), HasSubstr("classes.txt"));
}

TEST_P(ZeroShot, DoublesAreTold) {
  const auto names = file("double.txt", read_file(model() / "classes.txt") + "goldfish\n");
  Outcome outcome = run("ablate", {"--class-names", names.string(), "--rule", "1,3"});
  // "goldfish" is a label, and stands for two classes now.
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(flat(outcome.err), HasSubstr("\"goldfish\" is unknown"));
  const auto others = file("other.txt", read_file(model() / "classes.txt") + "bird\nbird\n");
  outcome = run("ablate", {"--class-names", others.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("1 of the class names were given before (\"bird\")"));
}

TEST_P(ZeroShot, RegistersMeasuresItToo) {
  Arguments more = classes();
  more.emplace_back("--json");
  const Outcome outcome = run("registers", more);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_TRUE(result["variants"][0]["measures"]["images"]["top1"].is_object());
  EXPECT_THAT(result["images"]["classifier"].get<std::string>(), HasSubstr("zero-shot"));
}

INSTANTIATE_TEST_SUITE_P(Golden, ZeroShot, ::testing::Values("clip", "open-clip", "siglip"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ---- heads from files ----

class Heads : public Classifiers {
 protected:
  Outcome run(const std::string& command, const Arguments& more) const {
    Arguments line = {command,       kHeads.string(),
                      "--images",    (kHeads / "images.csv").string(),
                      "--precision", "f32"};
    line.insert(line.end(), more.begin(), more.end());
    return massact(line);
  }
  static std::vector<std::int64_t> labels() {
    std::vector<std::int64_t> labels;
    std::istringstream lines(read_file(kHeads / "images.csv"));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) labels.push_back(std::stoll(line.substr(line.find(',') + 1)));
    return labels;
  }
};

TEST_F(Heads, AblateMeasuresWhatTorchDoes) {
  const auto plan = file("plan.json", plan_of(3, "[0, 2, 5]"));
  for (const std::string name : {"linear", "linear4"}) {
    const Outcome outcome = run("ablate", {"--head", (kHeads / (name + "_head.pth")).string(),
                                           "--plan", plan.string(), "--json"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const json result = json::parse(outcome.out);
    EXPECT_EQ(result["images"]["classifier"], "linear classifier " + name + "_head.pth");
    const Logits original = read_logits(kHeads / "expected.safetensors", name + "/logits");
    const Logits edited = read_logits(kHeads / "expected.safetensors", name + "/edited_logits");
    expect_measured(result["variants"][0], measure(original, original, labels()), true);
    expect_measured(result["variants"][1], measure(original, edited, labels()), false);
  }
}

TEST_F(Heads, RegistersMeasuresWithOne) {
  const Outcome outcome =
      run("registers", {"--head", (kHeads / "linear_head.safetensors").string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), AllOf(HasSubstr("classes: linear classifier linear_head"),
                                       HasSubstr("fix-reg-mean"), HasSubstr("top-1")));
}

TEST_F(Heads, NamesTellWhatLabelsMean) {
  const auto names = file("names.txt", "n00000001 a\nn00000002 b\nc\nd\ne\nf\ng\n");
  std::string list = "path,label\n";
  const std::vector<std::string> said = {"n00000001", "B", "c", "d", "e", "f", "g"};
  for (std::size_t i = 0; i < labels().size(); ++i) {
    const auto number = (i < 10 ? "0" : "") + std::to_string(i);
    list += (kHeads / "images" / (number + ".png")).string() + "," +
            said[static_cast<std::size_t>(labels()[i])] + "\n";
  }
  const std::string head = (kHeads / "linear_head.pth").string();
  const auto top1 = [&](const fs::path& images, const Arguments& more) {
    Arguments line = {"ablate", kHeads.string(), "--images", images.string(), "--head",
                      head,     "--precision",   "f32",      "--json"};
    line.insert(line.end(), more.begin(), more.end());
    const Outcome outcome = massact(line);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(outcome.out)["variants"][0]["measures"]["images"];
  };
  EXPECT_EQ(top1(file("list.csv", list), {"--class-names", names.string()}),
            top1(kHeads / "images.csv", {}));
  const Outcome outcome = run(
      "ablate", {"--head", head, "--class-names", file("six.txt", "a\nb\nc\nd\ne\nf\n").string()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(flat(outcome.err),
              HasSubstr("expected the names of the classifier's 7 classes, got 6"));
}

TEST_F(Heads, WhatHasNoUseIsRefused) {
  const auto names = file("names.txt", "a\nb\n");
  Outcome outcome = run("ablate", {"--class-names", names.string()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(flat(outcome.err), HasSubstr("expected a classifier or a text tower"));
  outcome = run("ablate", {"--class-names", names.string(), "--templates", names.string()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(flat(outcome.err), HasSubstr("expected a model with a text tower"));
  outcome = massact(
      {"ablate", kPlanted.string(), "--text", kText.string(), "--class-names", names.string()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(flat(outcome.err), HasSubstr("reads no images"));
  outcome = run("ablate", {});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("--head gives it a linear one"));
}

// ---- OpenAI's archives ----

TEST_F(Classifiers, OpenAisArchiveIsScanned) {
  fs::copy_file(kGolden / "torch/openai-clip.pt", folder_ / "ViT-tiny.pt");
  const Outcome outcome = massact({"scan", (folder_ / "ViT-tiny.pt").string(), "--images",
                                   (kHeads / "images").string(), "--rule", "1,3"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out),
              HasSubstr("12 images of 15 x 15 pixels (1 cls, 0 registers, 3 x 3"));
}

}  // namespace
}  // namespace massact::testing
