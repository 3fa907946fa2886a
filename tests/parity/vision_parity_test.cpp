// Every site of every golden vision transformer against HF transformers
// (tools/golden/make_vision.py), on images of the size that its positions were learned for and of
// others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "massact/base/error.h"
#include "parity/collect.h"
#include "parity/compare.h"
#include "parity/images.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::HasSubstr;
namespace fs = std::filesystem;

// Images of one size, and their numbers in the golden file.
struct SizeGroup {
  std::shared_ptr<const PixelSource> images;
  std::vector<std::int64_t> numbers;
};

// The images "img{n}/pixels" of a golden file.
std::vector<SizeGroup> read_images(const WeightSource& golden) {
  std::map<std::vector<std::int64_t>, std::pair<std::vector<Tensor>, std::vector<std::int64_t>>>
      by_size;
  for (std::int64_t n = 0;; ++n) {
    const std::string name = fmt::format("img{}/pixels", n);
    if (golden.find(name) == nullptr) break;
    auto& [tensors, numbers] = by_size[golden.info(name).shape.extents()];
    tensors.push_back(to_float_tensor(golden.view(name)));
    numbers.push_back(n);
  }
  std::vector<SizeGroup> groups;
  for (auto& [size, group] : by_size) {
    groups.push_back({std::make_shared<GoldenImages>(std::move(group.first)), group.second});
  }
  return groups;
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_folder() / "vision")) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A folder's checkpoint, if that has no config.json: it says itself what it is.
fs::path model_in(const fs::path& folder) {
  if (fs::exists(folder / "config.json") || fs::exists(folder / "open_clip_config.json")) {
    return folder;
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".pth") return entry.path();
  }
  return folder;
}

class VisionParity : public testing::TestWithParam<std::string> {
 protected:
  VisionParity()
      : folder_(golden_folder() / "vision" / GetParam()),
        model_(open_model(model_in(folder_))),
        golden_(open_safetensors(folder_ / "sites.safetensors")),
        groups_(read_images(*golden_)) {}

  std::vector<Site> sites_without(std::initializer_list<SiteKind> kinds) const {
    auto sites = all_sites(model_.config());
    std::erase_if(sites,
                  [&](Site site) { return std::count(kinds.begin(), kinds.end(), site.kind); });
    return sites;
  }

  /// Runs all images with these sites watched and calls check(name, values, expected, row width)
  /// for each of them.
  template <typename Check>
  void for_each_site(const std::vector<Site>& sites, ops::Precision precision,
                     const Check& check) const {
    ASSERT_FALSE(groups_.empty());
    for (const SizeGroup& group : groups_) {
      Plan plan(model_, group.images);
      const auto& collected = plan.observe(sites, Collect{});
      NoProgress progress;
      run(plan, {.precision = precision}, progress);
      ASSERT_EQ(collected.values().size(), sites.size() * group.numbers.size());
      for (const auto& [place, values] : collected.values()) {
        const std::int64_t number = group.numbers[static_cast<std::size_t>(place.first)];
        const std::string name = fmt::format("img{}/{}", number, place.second);
        ASSERT_NE(golden_->find(name), nullptr) << name;
        const auto tensor = to_float_tensor(golden_->view(name));
        const auto& shape = tensor.shape();
        const bool map = is_attention_map(parse_site(place.second, model_.config()).kind);
        const std::int64_t rows = map ? shape[0] * shape[1] : shape[0];
        check(name, values, std::vector<float>(tensor.floats().begin(), tensor.floats().end()),
              shape.element_count() / rows);
      }
    }
  }

  void expect_sites_in_f32(const std::vector<Site>& sites) const {
    for_each_site(
        sites, ops::Precision::f32,
        [](const std::string& name, const auto& values, const auto& expected, std::int64_t width) {
          EXPECT_EQ(compare_vectors(values, expected, width), "") << name;
        });
  }

  fs::path folder_;
  Model model_;
  std::shared_ptr<const WeightSource> golden_;
  std::vector<SizeGroup> groups_;
};

TEST_P(VisionParity, EverySiteInF32) {
  // All that the golden file has, and no more.
  std::size_t in_file = 0;
  for (const TensorInfo& info : golden_->tensors()) {
    in_file += info.name.starts_with("img0/") && info.name != "img0/pixels";
  }
  EXPECT_EQ(all_sites(model_.config()).size(), in_file);
  expect_sites_in_f32(all_sites(model_.config()));
}

// The fast attention path, which hides scores and pattern.
TEST_P(VisionParity, FastAttentionInF32) {
  expect_sites_in_f32(sites_without({SiteKind::attn_scores, SiteKind::pattern}));
}

// Where nobody looks inside a block, norms, biases, LayerScale and sums are parts of the products.
TEST_P(VisionParity, FusedProductsInF32) {
  std::vector<Site> sites;
  for (const Site site : all_sites(model_.config())) {
    const bool end = site.kind == SiteKind::ln_final_out || site.kind == SiteKind::logits;
    if (site.kind == SiteKind::resid_post || end) sites.push_back(site);
  }
  expect_sites_in_f32(sites);
}

TEST_P(VisionParity, EverySiteInBf16) {
  for_each_site(all_sites(model_.config()), ops::Precision::bf16,
                [](const std::string& name, const auto& values, const auto& expected,
                   std::int64_t) { EXPECT_LE(relative_error(values, expected), 0.05) << name; });
}

// Sets the values of all rows, or of one, to zero.
class Zero final : public Edit {
 public:
  explicit Zero(std::int64_t row = -1) : row_(row) {}
  std::int64_t apply(const SiteView& view) override {
    std::int64_t set = 0;
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      if (row_ >= 0 && r != row_) continue;
      std::fill_n(view.values.row(r), view.values.cols, 0.0f);
      set += view.values.cols;
    }
    return set;
  }
  std::string description() const override { return "zero"; }

 private:
  std::int64_t row_;
};

// Bidirectional: what the last patch loses, the first row's result notices.
TEST_P(VisionParity, EditsReachWhatFollows) {
  Site end = {SiteKind::ln_final_out, -1};
  if (!absence(end, model_.config()).empty()) end.kind = SiteKind::logits;
  for (const SizeGroup& group : groups_) {
    Plan plan(model_, group.images);
    const std::int64_t last = std::ssize(plan.tokens(0)) - 1;
    std::vector<Collect*> changed;
    auto& original = plan.observe({end}, Collect{});
    for (const Site site : {Site{SiteKind::embed, -1},
                            {SiteKind::resid_pre, 0},
                            {SiteKind::v, 0},
                            {SiteKind::mlp_post, 0},
                            {SiteKind::resid_post, 0}}) {
      std::vector<SiteEdit> edits;
      edits.push_back({site, std::make_unique<Zero>(last)});
      const int stream = plan.fork(name_of(site), std::move(edits));
      changed.push_back(&plan.observe({end}, Collect{}, stream));
    }
    NoProgress progress;
    run(plan, {.precision = ops::Precision::f32}, progress);
    const auto first_row = [&](const Collect& collected) {
      const auto& values = collected.values().begin()->second;
      const auto width = std::min(std::ssize(values), model_.config().width);
      return std::vector<float>(values.begin(), values.begin() + width);
    };
    for (const Collect* stream : changed) EXPECT_NE(first_row(*stream), first_row(original));
  }
}

// More passes, fewer images at a time: the same bits.
TEST_P(VisionParity, PassesDoNotChangeTheBits) {
  const auto many = std::make_shared<GoldenImages>([&] {
    std::vector<Tensor> images;
    for (int i = 0; i < 9; ++i) {
      images.push_back(to_float_tensor(golden_->view("img0/pixels")));
      for (float& pixel : images.back().floats()) pixel += 0.1f * static_cast<float>(i);
    }
    return images;
  }());
  const auto sites = all_sites(model_.config());
  std::vector<SiteValues> results;
  for (const bool scarce : {false, true}) {
    Plan plan(model_, many);
    const auto& collected = plan.observe(sites, Collect{});
    RunOptions options = {.precision = ops::Precision::f32, .threads = scarce ? 1 : 3};
    if (scarce) {
      const MemoryPlan memory = plan_memory(plan, options);
      options.memory = memory.total - memory.hidden / 2;
      EXPECT_GT(plan_memory(plan, options).passes(), 1);
    }
    NoProgress progress;
    run(plan, options, progress);
    results.push_back(collected.values());
  }
  EXPECT_EQ(results[0], results[1]);
}

INSTANTIATE_TEST_SUITE_P(Golden, VisionParity, testing::ValuesIn(golden_names()),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ---- two towers ----

class TwoTowers : public testing::TestWithParam<std::string> {
 protected:
  fs::path folder() const { return golden_folder() / "vision" / GetParam(); }
};

std::vector<float> values_of(const WeightSource& golden, const std::string& name) {
  const Tensor tensor = to_float_tensor(golden.view(name));
  return {tensor.floats().begin(), tensor.floats().end()};
}

TEST_P(TwoTowers, TheTextTowersSites) {
  const Model text = open_text_tower(folder());
  const auto golden = open_safetensors(folder() / "sites.safetensors");
  const auto sites = all_sites(text.config());
  const auto got = collect(text, golden_tokens(*golden), sites, {.precision = ops::Precision::f32});
  EXPECT_EQ(got.size(), 2 * sites.size());
  for (const auto& [place, values] : got) {
    const std::string name = fmt::format("seq{}/{}", place.first, place.second);
    const TensorInfo& info = golden->info(name);
    const bool map = is_attention_map(parse_site(place.second, text.config()).kind);
    const std::int64_t rows = map ? info.shape[0] * info.shape[1] : info.shape[0];
    EXPECT_EQ(compare_vectors(values, values_of(*golden, name), std::ssize(values) / rows), "")
        << name;
  }
}

// Zero-shot: both towers' vectors, normalised, and the checkpoint's own scale give HF's similarity.
TEST_P(TwoTowers, VectorsAreComparedAsHfDoes) {
  const Model image = open_model(folder()), text = open_text_tower(folder());
  const auto golden = open_safetensors(folder() / "sites.safetensors");
  const SimilarityScale scale = similarity_scale(image);
  const auto vector = values_of(*golden, "img0/hook_logits");
  const auto texts = collect(text, golden_tokens(*golden), {{SiteKind::logits, -1}},
                             {.precision = ops::Precision::f32});
  const auto expected = values_of(*golden, "similarity");
  for (std::size_t n = 0; n < expected.size(); ++n) {
    const auto& other = texts.at({static_cast<std::int64_t>(n), "hook_logits"});
    ASSERT_EQ(other.size(), vector.size());
    double product = 0, a = 0, b = 0;
    for (std::size_t i = 0; i < vector.size(); ++i) {
      product += double{vector[i]} * other[i];
      a += double{vector[i]} * vector[i];
      b += double{other[i]} * other[i];
    }
    EXPECT_NEAR(scale.scale * product / std::sqrt(a * b) + scale.bias, expected[n], 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TwoTowers,
                         testing::Values("clip", "clip-old", "open-clip", "siglip"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(TwoTowersAbsent, AModelWithoutATextTowerSaysSo) {
  EXPECT_THROW((void)open_text_tower(golden_folder() / "vision/dinov2"), Error);
}

// ---- OpenAI's archives ----

class OpenAiArchive : public testing::Test {
 protected:
  fs::path path_ = golden_folder() / "torch/openai-clip.pt";
  std::shared_ptr<const WeightSource> golden_ =
      open_safetensors(golden_folder() / "torch/openai-clip.safetensors");
};

TEST_F(OpenAiArchive, BothTowersAreHfsOfTheSameWeights) {
  const Model image = open_model(path_), text = open_text_tower(path_);
  EXPECT_EQ(image.config().heads, 2);
  EXPECT_EQ(text.config().max_positions, 9);
  EXPECT_THAT(image.notes(), testing::Contains(HasSubstr("TorchScript")));
  std::vector<Tensor> pixels;
  pixels.push_back(to_float_tensor(golden_->view("img0/pixels")));
  Plan plan(image, std::make_shared<GoldenImages>(std::move(pixels)));
  const std::vector<Site> sites = {{SiteKind::resid_post, 0}, {SiteKind::logits, -1}};
  const auto& collected = plan.observe(sites, Collect{});
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  for (const Site site : sites) {
    const auto expected = values_of(*golden_, "img0/" + name_of(site));
    const auto& got = collected.values().at({0, name_of(site)});
    const auto width = site.kind == SiteKind::logits ? 9 : 128;
    EXPECT_EQ(compare_vectors(got, expected, width), "") << name_of(site);
  }
  const auto texts = collect(text, golden_tokens(*golden_), {{SiteKind::logits, -1}},
                             {.precision = ops::Precision::f32});
  for (std::int64_t n = 0; n < 2; ++n) {
    const auto expected = values_of(*golden_, fmt::format("seq{}/hook_logits", n));
    EXPECT_EQ(compare_vectors(texts.at({n, "hook_logits"}), expected, 9), "") << n;
  }
  EXPECT_NEAR(similarity_scale(image).scale, std::exp(0.7), 1e-3);
}

// ---- what does not fit ----

Model vision_model() { return open_model(golden_folder() / "vision/dinov2"); }

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return std::string("usage: ") + error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::shared_ptr<const PixelSource> image_of(std::int64_t channels, std::int64_t height,
                                            std::int64_t width) {
  std::vector<Tensor> images;
  images.emplace_back(DType::f32, Shape{channels, height, width});
  for (float& pixel : images.back().floats()) pixel = 0.5f;
  return std::make_shared<GoldenImages>(std::move(images));
}

TEST(VisionPlan, TextsAndImagesAreNotMistakenForEachOther) {
  EXPECT_THAT(error_of([] {
                Plan plan(vision_model(), std::vector<Plan::Tokens>{{1, 2}});
              }),
              HasSubstr("usage: [dinov2] expected images"));
  EXPECT_THAT(
      error_of([] { Plan plan(open_model(golden_folder() / "models/gpt2"), image_of(3, 17, 17)); }),
      HasSubstr("usage: [gpt2] expected text"));
}

TEST(VisionPlan, ImagesMustFitThePatches) {
  EXPECT_THAT(error_of([] { Plan plan(vision_model(), image_of(1, 17, 17)); }),
              HasSubstr("expected images of 3 channels, got 1"));
  EXPECT_THAT(error_of([] { Plan plan(vision_model(), image_of(3, 17, 4)); }),
              HasSubstr("at least one patch of 5 x 5 pixels, got 17 x 4"));
}

TEST(VisionPlan, AModelWithoutAHeadHasNoLogits) {
  Plan plan(open_model(golden_folder() / "vision/dinov2-swiglu"), image_of(3, 17, 17));
  const Site logits = {SiteKind::logits, -1};
  EXPECT_THAT(error_of([&] { plan.observe({logits}, Collect{}); }), HasSubstr("has no head"));
}

}  // namespace
}  // namespace massact
