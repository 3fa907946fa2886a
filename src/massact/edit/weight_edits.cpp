#include "massact/edit/weight_edits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "massact/base/error.h"

namespace massact::edit {
namespace {

// A source with some of its tensors replaced by changed copies.
class EditedWeights final : public WeightSource {
 public:
  EditedWeights(Model base, std::map<std::string, Tensor, std::less<>> changed)
      : base_(std::move(base)), changed_(std::move(changed)) {}

  const std::vector<TensorInfo>& tensors() const override { return source().tensors(); }
  std::string description() const override { return source().description(); }
  std::uint64_t file_bytes() const override { return source().file_bytes(); }

  TensorView view(std::string_view name) const override {
    const auto it = changed_.find(name);
    return it == changed_.end() ? source().view(name) : it->second.view();
  }
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    const auto it = changed_.find(name);
    if (it == changed_.end()) return source().read(name, first, count, out);
    const std::int64_t size = it->second.shape().element_count();
    require(first >= 0 && count >= 0 && first <= size && count <= size - first, name,
            "expected a range inside {} elements, got {} from {}", size, count, first);
    read_floats(it->second.view(), first, count, out);
  }
  void will_need(std::string_view name) const override { source().will_need(name); }
  void release(std::string_view name) const override { source().release(name); }

 private:
  const WeightSource& source() const { return base_.weights().source(); }

  Model base_;  // keeps the source alive
  std::map<std::string, Tensor, std::less<>> changed_;
};

Tensor copy_of(const TensorView& view) {
  Tensor copy(view.type, view.shape);
  std::memcpy(copy.bytes(), view.data, view.byte_count());
  return copy;
}

void write_float(DType type, float value, std::byte* place, std::string_view where) {
  const auto put = [place](auto stored) { std::memcpy(place, &stored, sizeof stored); };
  switch (type) {
    case DType::f32:
      return put(value);
    case DType::bf16:
      return put(to_bfloat16(value));
    case DType::f16:
      return put(to_float16(value));
    default:
      fail(where, "expected a weight in F32, F16 or BF16, got {}", name_of(type));
  }
}

// Element `at` multiplied by `factor` and rounded to the tensor's own type.
void scale_element(Tensor& tensor, std::int64_t at, double factor, std::string_view where) {
  float value = 0.0f;
  read_floats(tensor.view(), at, 1, &value);
  const auto scaled = static_cast<float>(static_cast<double>(value) * factor);
  std::byte* place = tensor.bytes() + static_cast<std::size_t>(at) * size_of(tensor.type());
  write_float(tensor.type(), scaled, place, where);
}

std::int64_t columns_of(const Tensor& tensor) {
  return tensor.shape().rank() == 1 ? 1 : tensor.shape()[1];
}

std::vector<std::int64_t> heaviest_rows(const Tensor& tensor, std::int64_t count) {
  const std::int64_t rows = tensor.shape()[0], columns = columns_of(tensor);
  std::vector<std::pair<double, std::int64_t>> norms;
  std::vector<float> row(static_cast<std::size_t>(columns));
  for (std::int64_t r = 0; r < rows; ++r) {
    read_floats(tensor.view(), r * columns, columns, row.data());
    double squares = 0.0;
    for (const float w : row) squares += static_cast<double>(w) * static_cast<double>(w);
    norms.emplace_back(-squares, r);
  }
  std::partial_sort(norms.begin(), norms.begin() + count, norms.end());
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) {
    chosen.push_back(norms[static_cast<std::size_t>(i)].second);
  }
  return chosen;
}

// The elements that an edit changes, by number.
std::vector<std::int64_t> elements_of(const WeightEdit& edit, const Tensor& tensor) {
  const std::int64_t rows = tensor.shape()[0], columns = columns_of(tensor);
  std::vector<std::int64_t> elements;
  if (edit.prune_rows > 0) {
    if (edit.prune_rows > rows) {
      fail_usage(edit.where, "expected at most {} rows to prune in {}, got {}", rows, edit.weight,
                 edit.prune_rows);
    }
    for (const std::int64_t row : heaviest_rows(tensor, edit.prune_rows)) {
      for (std::int64_t c = 0; c < columns; ++c) elements.push_back(row * columns + c);
    }
    return elements;
  }
  const bool none = edit.row < 0 && edit.column < 0;
  if (none || edit.row >= rows || edit.column >= columns) {
    fail_usage(edit.where, "expected a row below {} and a column below {} in {}, got {} and {}",
               rows, columns, edit.weight, edit.row, edit.column);
  }
  for (std::int64_t r = std::max<std::int64_t>(edit.row, 0); r < rows; ++r) {
    for (std::int64_t c = std::max<std::int64_t>(edit.column, 0); c < columns; ++c) {
      elements.push_back(r * columns + c);
      if (edit.column >= 0) break;
    }
    if (edit.row >= 0) break;
  }
  return elements;
}

}  // namespace

Model with_weight_edits(const Model& model, const std::vector<WeightEdit>& edits) {
  const BoundWeights& weights = model.weights();
  std::map<std::string, Tensor, std::less<>> changed;
  std::set<std::pair<std::string, std::int64_t>> touched;
  for (const WeightEdit& edit : edits) {
    if (!weights.has(edit.weight)) {
      fail_usage(edit.where,
                 "expected a weight of this model, got '{}' (massact inspect lists them)",
                 edit.weight);
    }
    const std::string name = weights.source_name(edit.weight);
    if (!changed.contains(name)) changed.emplace(name, copy_of(weights.source().view(name)));
    Tensor& tensor = changed.at(name);
    for (const std::int64_t element : elements_of(edit, tensor)) {
      if (!touched.insert({name, element}).second) {
        fail_usage(edit.where, "contradicts another edit of the same element of {}", edit.weight);
      }
      scale_element(tensor, element, edit.prune_rows > 0 ? 0.0 : edit.factor, edit.where);
    }
  }
  Model::Parts parts{
      .config = model.config(),
      .weights = weights.with_source(std::make_shared<EditedWeights>(model, std::move(changed))),
      .path = model.path(),
      .name = model.name(),
      .tokenizer = {}};
  if (model.has_tokenizer()) {
    parts.tokenizer = {std::make_shared<Model>(model), &model.tokenizer()};
  }
  return Model(std::move(parts));
}

}  // namespace massact::edit
