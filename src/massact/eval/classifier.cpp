#include "massact/eval/classifier.h"

#include "massact/eval/dot.h"

namespace massact::eval {
namespace {

// The head's logits are there to be read.
class OwnReader final : public ClassReader {
 public:
  bool add(const SiteView& view, Threads&) override {
    logits_.assign(view.values.row(0), view.values.row(0) + view.values.cols);
    return true;
  }
  std::span<const float> logits() const override { return logits_; }

 private:
  std::vector<float> logits_;
};

class OwnClassifier final : public Classifier {
 public:
  explicit OwnClassifier(std::int64_t classes) : classes_(classes) {}
  std::int64_t classes() const override { return classes_; }
  std::vector<Site> sites() const override { return {{SiteKind::logits, -1}}; }
  std::unique_ptr<ClassReader> reader(const Model&) const override {
    return std::make_unique<OwnReader>();
  }

 private:
  std::int64_t classes_;
};

}  // namespace

std::shared_ptr<const Classifier> own_classifier(const Model& model) {
  const ModelConfig& config = model.config();
  if (config.head.kind != HeadKind::classes) return nullptr;
  return std::make_shared<const OwnClassifier>(config.logit_count());
}

void LinearLayer::apply(std::span<const float> features, std::vector<float>& logits,
                        Threads& threads) const {
  logits.resize(static_cast<std::size_t>(outputs));
  threads.parallel_for(outputs, [&](std::int64_t output, int) {
    const double product = dot(weight.data() + output * inputs, features.data(), inputs);
    const auto at = static_cast<std::size_t>(output);
    logits[at] = static_cast<float>(static_cast<double>(bias[at]) + product);
  });
}

}  // namespace massact::eval
