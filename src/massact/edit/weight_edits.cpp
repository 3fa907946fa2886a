#include "massact/edit/weight_edits.h"

#include <algorithm>
#include <cmath>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/edit/scaled_weights.h"

namespace massact::edit {
namespace {

// What a weight is more than its elements in the file: Gemma's norms multiply by 1 + weight.
double offset_of(const Model& model, std::string_view weight) {
  return weight.ends_with(".w") ? static_cast<double>(model.config().norm_weight_offset) : 0.0;
}

// Σ w² of every row, read in the file's order. Each row is summed in the order of its columns.
std::vector<double> squares_of_rows(const WeightSource& source, const std::string& name,
                                    const WeightPlacement& place, double offset) {
  std::vector<double> squares(static_cast<std::size_t>(place.rows), 0.0);
  std::vector<float> values;
  const auto read = [&](std::int64_t first, std::int64_t last) {
    values.resize(static_cast<std::size_t>(last - first + 1));
    source.read(name, first, last - first + 1, values.data());
  };
  const auto add = [&](std::int64_t row, std::int64_t at) {
    const double w = static_cast<double>(values[static_cast<std::size_t>(at)]) + offset;
    squares[static_cast<std::size_t>(row)] += w * w;
  };
  if (place.column_stride == 1) {
    for (std::int64_t r = 0; r < place.rows; ++r) {
      read(place.element(r, 0), place.element(r, place.columns - 1));
      for (std::int64_t c = 0; c < place.columns; ++c) add(r, c);
    }
    return squares;
  }
  // [inputs, outputs]: column after column, what lies between a fused part's rows included.
  for (std::int64_t c = 0; c < place.columns; ++c) {
    const std::int64_t first = place.element(0, c);
    read(first, place.element(place.rows - 1, c));
    for (std::int64_t r = 0; r < place.rows; ++r) add(r, place.element(r, c) - first);
  }
  return squares;
}

std::vector<std::int64_t> heaviest_rows(const WeightSource& source, const std::string& name,
                                        const WeightPlacement& place, double offset,
                                        std::int64_t count) {
  const std::vector<double> squares = squares_of_rows(source, name, place, offset);
  std::vector<std::pair<double, std::int64_t>> order;
  for (std::size_t r = 0; r < squares.size(); ++r) {
    require(!std::isnan(squares[r]), name, "expected numbers in row {}, got one that is none", r);
    order.emplace_back(-squares[r], static_cast<std::int64_t>(r));
  }
  std::partial_sort(order.begin(), order.begin() + count, order.end());
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i)
    rows.push_back(order[static_cast<std::size_t>(i)].second);
  return rows;
}

void check_place(const WeightEdit& edit, const WeightPlacement& place) {
  const auto check = [&](std::string_view what, std::int64_t got, std::int64_t below) {
    if (got < below) return;
    fail_usage(edit.where, "expected a {} below {} in {} of shape [{}, {}], got {}", what, below,
               edit.weight, place.rows, place.columns, got);
  };
  check("row", edit.row, place.rows);
  check("column", edit.column, place.columns);
  if (edit.prune_rows > place.rows) {
    fail_usage(edit.where, "expected at most {} rows to prune in {}, got {}", place.rows,
               edit.weight, edit.prune_rows);
  }
  if (edit.prune_rows < 1 && edit.row < 0 && edit.column < 0) {
    fail_usage(edit.where, "expected a row, a column or both in {}, or rows to prune", edit.weight);
  }
}

// The edits of one model's weights, by tensor.
class Resolution {
 public:
  explicit Resolution(const Model& model) : model_(model), weights_(model.weights()) {}

  ScaledTensors resolve(const std::vector<WeightEdit>& edits) {
    for (std::size_t i = 0; i < edits.size(); ++i) add(edits[i], i);
    for (auto& [name, runs] : scaled_) {
      std::sort(runs.begin(), runs.end(), [](const ScaledElements& a, const ScaledElements& b) {
        return std::pair(a.first, a.edit) < std::pair(b.first, b.edit);
      });
      for (std::size_t i = 1; i < runs.size(); ++i) {
        const ScaledElements &a = runs[i - 1], &b = runs[i];
        if (a.first + a.count <= b.first) continue;
        const WeightEdit& later = edits[std::max(a.edit, b.edit)];
        fail_usage(later.where, "contradicts another edit of the same element of {}", later.weight);
      }
    }
    return std::move(scaled_);
  }

 private:
  void add(const WeightEdit& edit, std::size_t number) {
    if (!weights_.has(edit.weight)) {
      fail_usage(edit.where,
                 "expected a weight of this model, got '{}' (nearest: {}; massact inspect MODEL "
                 "--tensors lists them)",
                 edit.weight, join(nearest(edit.weight, weights_.names(""))));
    }
    const WeightPlacement place = weights_.placement(edit.weight);
    check_place(edit, place);
    const std::string name = weights_.source_name(edit.weight);
    const double offset = offset_of(model_, edit.weight);
    if (edit.prune_rows > 0) {
      for (const std::int64_t row :
           heaviest_rows(weights_.source(), name, place, offset, edit.prune_rows)) {
        add_elements(name, place, {row, row + 1}, {0, place.columns},
                     {.factor = 0.0, .offset = offset, .edit = number});
      }
      return;
    }
    const auto range = [](std::int64_t index, std::int64_t all) {
      return index < 0 ? Range{0, all} : Range{index, index + 1};
    };
    add_elements(name, place, range(edit.row, place.rows), range(edit.column, place.columns),
                 {.factor = edit.factor, .offset = offset, .edit = number});
  }

  using Range = std::pair<std::int64_t, std::int64_t>;  // from, to

  // What lies side by side in the tensor becomes one run.
  void add_elements(const std::string& name, const WeightPlacement& place, Range rows,
                    Range columns, ScaledElements run) {
    std::vector<ScaledElements>& runs = scaled_[name];
    for (std::int64_t r = rows.first; r < rows.second; ++r) {
      for (std::int64_t c = columns.first; c < columns.second; ++c) {
        run.first = place.element(r, c);
        run.count = 1;
        const bool follows = !runs.empty() && runs.back().edit == run.edit &&
                             runs.back().first + runs.back().count == run.first;
        if (follows) {
          ++runs.back().count;
        } else {
          runs.push_back(run);
        }
      }
    }
  }

  const Model& model_;
  const BoundWeights& weights_;
  ScaledTensors scaled_;
};

}  // namespace

void require_weight_edits(const Model& model, const std::vector<WeightEdit>& edits) {
  (void)Resolution(model).resolve(edits);
}

Model with_weight_edits(const Model& model, const std::vector<WeightEdit>& edits) {
  const BoundWeights& weights = model.weights();
  auto source = std::make_shared<ScaledWeights>(model, Resolution(model).resolve(edits));
  Model::Parts parts{.config = model.config(),
                     .weights = weights.with_source(std::move(source)),
                     .path = model.path(),
                     .name = model.name(),
                     .tokenizer = {}};
  if (model.has_tokenizer()) {
    parts.tokenizer = {std::make_shared<Model>(model), &model.tokenizer()};
  }
  return Model(std::move(parts));
}

}  // namespace massact::edit
