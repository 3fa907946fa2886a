#include "massact/model/pooling.h"

#include "massact/base/error.h"

namespace massact {
namespace {

// Mean of rows [first, T), behind `out`.
void append_mean(ConstFloatMatrix rows, std::int64_t first, std::vector<float>& out) {
  std::vector<double> sum(static_cast<std::size_t>(rows.cols), 0.0);
  for (std::int64_t r = first; r < rows.rows; ++r) {
    for (std::int64_t c = 0; c < rows.cols; ++c) sum[static_cast<std::size_t>(c)] += rows(r, c);
  }
  const auto count = static_cast<double>(rows.rows - first);
  for (const double value : sum) out.push_back(static_cast<float>(value / count));
}

}  // namespace

std::vector<float> pooled(const ModelConfig& config, ConstFloatMatrix normed) {
  const auto append = [&](std::int64_t row, std::vector<float>& out) {
    out.insert(out.end(), normed.row(row), normed.row(row) + normed.cols);
  };
  std::vector<float> result;
  switch (config.head.pooling) {
    case Pooling::every_token:
      break;
    case Pooling::first_token:
      append(0, result);
      return result;
    case Pooling::class_and_patch_mean:
      append(0, result);
      append_mean(normed, config.vision.leading_tokens(), result);
      return result;
    case Pooling::two_class_tokens:
      append(0, result);
      append(1, result);
      return result;
  }
  fail(config.name, "expected a head that pools");
}

std::int64_t pooled_width(const ModelConfig& config) {
  const bool two = config.head.pooling == Pooling::class_and_patch_mean ||
                   config.head.pooling == Pooling::two_class_tokens;
  return config.width * (two ? 2 : 1);
}

}  // namespace massact
