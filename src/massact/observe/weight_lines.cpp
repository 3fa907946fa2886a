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

}  // namespace

const ops::WeightSlice& WeightLines::slice_of(const std::string& canonical) {
  auto found = matrices_.find(canonical);
  if (found == matrices_.end()) {
    found = matrices_.emplace(canonical, model_.weights().matrix(canonical)).first;
  }
  return found->second.slice;
}

bool WeightLines::is_transposed(const std::string& canonical) {
  return slice_of(canonical).in_stride != 1;
}

std::vector<float> WeightLines::of_output(const std::string& canonical, std::int64_t output) {
  const ops::WeightSlice& slice = slice_of(canonical);
  require(output >= 0 && output < slice.out, canonical, "expected an output below {}, got {}",
          slice.out, output);
  std::vector<float> line(static_cast<std::size_t>(slice.in));
  const std::int64_t first = output * slice.out_stride;
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

float WeightLines::bias_at(const std::string& canonical, std::int64_t index) const {
  const std::vector<float> values = vector(canonical);
  return values.empty() ? 0.0f : values.at(static_cast<std::size_t>(index));
}

}  // namespace massact::observe
