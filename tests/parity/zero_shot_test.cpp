// Zero-shot classification against HF (tools/golden/make_zeroshot.py): token ids, class vectors,
// logits, also with an edited vision tower.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "massact/base/error.h"
#include "massact/eval/zero_shot.h"
#include "parity/class_logits.h"
#include "parity/compare.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::HasSubstr;
namespace fs = std::filesystem;

class ClearPositions final : public Edit {
 public:
  std::int64_t apply(const SiteView& view) override {
    for (const std::int64_t row : {1, 3, 4, 8}) {
      std::fill_n(view.values.row(row), view.values.cols, 0.0f);
    }
    return 4 * view.values.cols;
  }
  std::string description() const override { return "zero"; }
};

class ZeroShotParity : public testing::TestWithParam<std::string> {
 protected:
  ZeroShotParity()
      : folder_(golden_folder() / "zeroshot" / GetParam()),
        golden_(open_safetensors(folder_ / "expected.safetensors")),
        model_(open_model(folder_)) {
    options_.classes = read_class_names(folder_ / "classes.txt");
    options_.templates = read_templates(folder_ / "templates.txt");
    options_.run.precision = ops::Precision::f32;
  }

  std::vector<float> expected(const std::string& name) const { return floats_of(*golden_, name); }
  eval::ClassVectors vectors() const {
    NoProgress progress;
    return eval::class_vectors(model_, options_, progress);
  }

  std::shared_ptr<const ImageFiles> images() const {
    const bool list = fs::exists(folder_ / "images.csv");
    return image_files(folder_, folder_ / (list ? "images.csv" : "images"));
  }

  fs::path folder_;
  std::shared_ptr<const WeightSource> golden_;
  Model model_;
  eval::ZeroShotOptions options_;
};

TEST_P(ZeroShotParity, PromptsHaveHfsIds) {
  const Model tower = open_text_tower(folder_);
  const TensorView view = golden_->view("ids");
  std::vector<std::int64_t> all(static_cast<std::size_t>(view.shape.element_count()));
  std::memcpy(all.data(), view.data, all.size() * sizeof(std::int64_t));
  std::size_t prompt = 0;
  const auto length = static_cast<std::size_t>(view.shape[1]);
  for (const ClassName& name : options_.classes) {
    for (const std::string& form : options_.templates) {
      const std::string text = fill_template(form, name.prompt_name());
      std::vector<std::int64_t> ids;
      for (const std::int32_t id : eval::prompt_ids(tower, {}, text)) ids.push_back(id);
      // HF fills CLIP's batches up with the end token, which nothing reads.
      ids.resize(length, tower.tokenizer().eos().value());
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(prompt++ * length);
      EXPECT_EQ(ids, std::vector(first, first + static_cast<std::ptrdiff_t>(length))) << text;
    }
  }
  EXPECT_EQ(prompt * length, all.size());
}

TEST_P(ZeroShotParity, ClassVectorsAndLogitsAreHfs) {
  const eval::ClassVectors vectors = this->vectors();
  EXPECT_EQ(compare_vectors(vectors.values, expected("class_vectors"), vectors.width), "");

  const auto classifier = eval::zero_shot_classifier(vectors);
  Plan plan(model_, images());
  std::vector<SiteEdit> edits;
  edits.push_back({{SiteKind::resid_post, 0}, std::make_unique<ClearPositions>()});
  const int stream = plan.fork("edited", std::move(edits));
  const auto& original = plan.observe(classifier->sites(), ClassLogits(classifier->reader(model_)));
  const auto& edited =
      plan.observe(classifier->sites(), ClassLogits(classifier->reader(model_)), stream);
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  EXPECT_EQ(compare_vectors(original.values, expected("logits"), classifier->classes()), "");
  EXPECT_EQ(compare_vectors(edited.values, expected("edited_logits"), classifier->classes()), "");
}

// One text per class: the logits are the columns of HF's logits_per_image.
TEST_P(ZeroShotParity, OneTemplateIsHfsSimilarity) {
  const auto all = options_.templates;
  const auto each = expected("logits_per_image");
  const auto classes = options_.classes.size(), prompts = classes * all.size();
  for (std::size_t t = 0; t < all.size(); ++t) {
    options_.templates = {all[t]};
    const auto classifier = eval::zero_shot_classifier(vectors());
    Plan plan(model_, images());
    const auto& logits = plan.observe(classifier->sites(), ClassLogits(classifier->reader(model_)));
    NoProgress progress;
    run(plan, {.precision = ops::Precision::f32}, progress);
    std::vector<float> columns;
    for (std::size_t i = 0; i < each.size(); ++i) {
      if (i % prompts % all.size() == t) columns.push_back(each[i]);
    }
    EXPECT_EQ(compare_vectors(logits.values, columns, classifier->classes()), "") << all[t];
  }
}

// The same bits whatever the number of threads and passes.
TEST_P(ZeroShotParity, ThreadsDoNotChangeTheBits) {
  options_.run.threads = 1;
  const auto one = vectors().values;
  options_.run.threads = 3;
  EXPECT_EQ(one, vectors().values);
}

TEST_P(ZeroShotParity, ClassesNeedNames) {
  options_.classes.push_back({{}, "n01440764"});
  try {
    (void)vectors();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("[n01440764] expected a name"));
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ZeroShotParity, testing::Values("clip", "open-clip", "siglip"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(ZeroShot, ModelsWithoutATextTowerSaySo) {
  NoProgress progress;
  eval::ZeroShotOptions options;
  options.classes = {{{"cat"}, ""}};
  const Model model = open_model(golden_folder() / "vision/dinov2");
  EXPECT_THROW((void)eval::class_vectors(model, options, progress), Error);
}

}  // namespace
}  // namespace massact
