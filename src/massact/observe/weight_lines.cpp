#include "massact/observe/weight_lines.h"

#include "massact/base/error.h"

namespace massact::observe {
namespace {

float element(const ops::WeightSlice& slice, std::int64_t index) {
  float value = 0;
  const TensorView one{slice.type, Shape({1}),
                       slice.data + static_cast<std::size_t>(index) * size_of(slice.type)};
  read_floats(one, 0, 1, &value);
  return value;
}

std::vector<float> line_of(const ops::WeightSlice& slice, std::int64_t output) {
  std::vector<float> line(static_cast<std::size_t>(slice.in));
  const std::int64_t first = output * slice.out_stride;
  if (slice.read) {
    slice.read(output * slice.in, slice.in, line.data());
    return line;
  }
  if (slice.in_stride == 1) {
    const TensorView row{slice.type, Shape({slice.in}),
                         slice.data + static_cast<std::size_t>(first) * size_of(slice.type)};
    read_floats(row, 0, slice.in, line.data());
    return line;
  }
  for (std::int64_t i = 0; i < slice.in; ++i) {
    line[static_cast<std::size_t>(i)] = element(slice, first + i * slice.in_stride);
  }
  return line;
}

}  // namespace

const BoundWeights::Matrix& WeightLines::matrix_of(const std::string& canonical) {
  auto found = matrices_.find(canonical);
  if (found == matrices_.end()) {
    found = matrices_.emplace(canonical, model_.weights().matrix(canonical)).first;
  }
  return found->second;
}

void WeightLines::clear() {
  for (const auto& [canonical, matrix] : matrices_) model_.weights().release(canonical);
  matrices_.clear();
}

std::vector<float> WeightLines::of_output(const std::string& canonical, std::int64_t output) {
  // Parts of a fused projection lie one after the other along the outputs.
  std::int64_t first_output = 0;
  for (const ops::WeightSlice& slice : matrix_of(canonical).slices) {
    if (output >= first_output && output < first_output + slice.out) {
      return line_of(slice, output - first_output);
    }
    first_output += slice.out;
  }
  fail(canonical, "expected an output below {}, got {}", first_output, output);
}

float WeightLines::bias_at(const std::string& canonical, std::int64_t index) const {
  const std::vector<float> values = vector(canonical);
  return values.empty() ? 0.0f : values.at(static_cast<std::size_t>(index));
}

}  // namespace massact::observe
