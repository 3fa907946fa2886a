// Weight tables are total: every element of every tensor of a file is used exactly once, or the
// tensor is ignored with a reason; under every prefix that files use.
#include <gtest/gtest.h>

#include <map>

#include "massact/io/quantized_weights.h"
#include "massact/io/weight_files.h"
#include "massact/model/family.h"
#include "paths.h"

namespace massact {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

struct Golden {
  ModelConfig config;
  WeightTable table;
  std::shared_ptr<const WeightSource> source;
};

Golden open_golden(const fs::path& folder) {
  const auto json = JsonObject::from_file(folder / "config.json", 1 << 20);
  const Family& family = find_family(json);
  const ModelConfig config = family.read_config(json);
  std::shared_ptr<const WeightSource> source = open_weight_files(folder);
  if (json.has("quantization_config")) {
    source = dequantize(std::move(source), json.object("quantization_config"));
  }
  return {config, family.weights(config), std::move(source)};
}

// The same tensors under other names.
class Renamed final : public WeightSource {
 public:
  Renamed(std::shared_ptr<const WeightSource> inner,
          const std::map<std::string, std::string>& names)
      : inner_(std::move(inner)) {
    for (TensorInfo info : inner_->tensors()) {
      const auto renamed = names.find(info.name);
      original_[renamed == names.end() ? info.name : renamed->second] = info.name;
      if (renamed != names.end()) info.name = renamed->second;
      tensors_.push_back(std::move(info));
    }
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::string description() const override { return "renamed"; }
  std::uint64_t file_bytes() const override { return inner_->file_bytes(); }
  TensorView view(std::string_view name) const override { return inner_->view(at(name)); }
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    inner_->read(at(name), first, count, out);
  }
  void will_need(std::string_view) const override {}
  void release(std::string_view) const override {}

 private:
  const std::string& at(std::string_view name) const { return original_.at(std::string(name)); }

  std::shared_ptr<const WeightSource> inner_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> original_;
};

// Names of the golden's tensors as they are under another prefix.
std::map<std::string, std::string> renamed_to(const Golden& golden, const std::string& prefix) {
  const auto bound = BoundWeights::bind(golden.table, golden.source, golden.config.layers);
  std::map<std::string, std::string> names;
  for (const WeightSpec& spec : golden.table.specs) {
    if (!spec.sources.front().starts_with('@')) continue;
    const bool per_block = spec.canonical.find('*') != std::string::npos;
    for (std::int64_t block = 0; block < (per_block ? golden.config.layers : 1); ++block) {
      std::string canonical = spec.canonical;
      if (per_block) canonical.replace(canonical.find('*'), 1, std::to_string(block));
      names[bound.source_name(canonical)] = spec.source_name(prefix, block);
    }
  }
  return names;
}

class WeightTotality : public testing::TestWithParam<std::string> {};

TEST_P(WeightTotality, EveryElementIsUsedOnceOrIgnoredWithAReason) {
  const Golden golden = open_golden(golden_folder() / GetParam());
  const auto bound = BoundWeights::bind(golden.table, golden.source, golden.config.layers);
  std::map<std::string, std::int64_t> elements;
  for (const std::string& canonical : bound.names("")) {
    const std::string& source = bound.source_name(canonical);
    const bool bias = canonical.find(".b_") != std::string::npos;  // of all experts: two axes
    if (bias || golden.source->info(source).shape.rank() == 1) {
      elements[source] += static_cast<std::int64_t>(bound.vector(canonical).size());
      continue;
    }
    for (const auto& slice : bound.matrix(canonical).slices) {
      elements[source] += slice.out * slice.in;
    }
  }
  for (const auto& [name, reason] : bound.ignored()) {
    EXPECT_FALSE(reason.empty()) << name;
    EXPECT_EQ(elements.count(name), 0u) << name;
    elements[name] = golden.source->info(name).shape.element_count();
  }
  for (const TensorInfo& info : golden.source->tensors()) {
    EXPECT_EQ(elements[info.name], info.shape.element_count()) << info.name;
  }
}

TEST_P(WeightTotality, NamesAreKnownUnderEveryPrefix) {
  const Golden golden = open_golden(golden_folder() / GetParam());
  for (const std::string& prefix : golden.table.prefixes) {
    const auto source = std::make_shared<Renamed>(golden.source, renamed_to(golden, prefix));
    EXPECT_NO_THROW((void)BoundWeights::bind(golden.table, source, golden.config.layers))
        << "prefix '" << prefix << "'";
  }
}

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  for (const char* kind : {"models", "vision"}) {
    for (const auto& entry : fs::directory_iterator(golden_folder() / kind)) {
      if (!fs::exists(entry.path() / "config.json")) continue;
      names.push_back((fs::path(kind) / entry.path().filename()).string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, WeightTotality, testing::ValuesIn(golden_models()),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

}  // namespace
}  // namespace massact
