#include "massact/observe/outlier_patches.h"

#include <algorithm>
#include <cmath>

namespace massact::observe {
namespace {

double length_of(const float* row, std::int64_t width) {
  double squares = 0.0;
  for (std::int64_t c = 0; c < width; ++c) {
    squares += static_cast<double>(row[c]) * static_cast<double>(row[c]);
  }
  return std::sqrt(squares);
}

template <typename T>
T& at_image(std::vector<T>& list, std::int64_t image) {
  if (std::ssize(list) <= image) list.resize(static_cast<std::size_t>(image) + 1);
  return list[static_cast<std::size_t>(image)];
}

}  // namespace

void OutlierPatches::observe(const SiteView& view, Threads& threads) {
  const ConstFloatMatrix rows = view.values.slice_rows(patches_.first, patches_.count);
  std::vector<double> norms(static_cast<std::size_t>(rows.rows));
  threads.parallel_for(rows.rows, [&](std::int64_t r, int) {
    norms[static_cast<std::size_t>(r)] = length_of(rows.row(r), rows.cols);
  });
  PatchNorms image;
  std::vector<double> sorted = norms;
  const auto middle = sorted.begin() + (std::ssize(sorted) - 1) / 2;
  std::nth_element(sorted.begin(), middle, sorted.end());
  image.median = *middle;
  image.largest = *std::max_element(norms.begin(), norms.end());
  const double least = rule_.norm > 0 ? rule_.norm : rule_.ratio * image.median;
  for (std::size_t r = 0; r < norms.size() && least > 0; ++r) {
    if (norms[r] >= least) image.outliers.push_back(patches_.first + static_cast<std::int64_t>(r));
  }
  for (std::int64_t r = patches_.first + patches_.count; r < view.values.rows; ++r) {
    image.added = std::max(image.added, length_of(view.values.row(r), view.values.cols));
  }
  at_image((*table_)[view.site.block], view.sequence) = std::move(image);
}

void OutlierNeurons::observe(const SiteView& view, Threads& threads) {
  const std::vector<std::int64_t>& outliers = outliers_[static_cast<std::size_t>(view.sequence)];
  if (outliers.empty()) return;
  NeuronSums& sums = blocks_[view.site.block];
  const std::int64_t neurons = view.values.cols;
  sums.at_outliers.resize(static_cast<std::size_t>(neurons));
  sums.elsewhere.resize(static_cast<std::size_t>(neurons));
  ++sums.images;
  const std::int64_t others = patches_.count - std::ssize(outliers);
  constexpr std::int64_t kColumns = 64;  // each task its own columns, rows in order
  threads.parallel_for((neurons + kColumns - 1) / kColumns, [&](std::int64_t task, int) {
    const std::int64_t first = task * kColumns, end = std::min(first + kColumns, neurons);
    std::vector<double> at(static_cast<std::size_t>(end - first)), apart = at;
    for (std::int64_t r = patches_.first; r < patches_.first + patches_.count; ++r) {
      auto& sum = std::binary_search(outliers.begin(), outliers.end(), r) ? at : apart;
      const float* row = view.values.row(r);
      for (std::int64_t c = first; c < end; ++c) {
        sum[static_cast<std::size_t>(c - first)] += std::abs(static_cast<double>(row[c]));
      }
    }
    for (std::int64_t c = first; c < end; ++c) {
      const auto i = static_cast<std::size_t>(c), own = static_cast<std::size_t>(c - first);
      sums.at_outliers[i] += at[own] / static_cast<double>(outliers.size());
      if (others > 0) sums.elsewhere[i] += apart[own] / static_cast<double>(others);
    }
  });
}

void OutlierAttention::observe(const AttentionView& view, Threads&) {
  const auto count = std::ssize(view.tokens);
  const std::vector<double>& sums =
      options_.first_query ? view.sums.prefix_sums : view.sums.column_sums;
  const auto queries = static_cast<double>(options_.first_query ? 1 : count);
  std::vector<double> shares(static_cast<std::size_t>(count));  // by key
  for (std::int64_t head = 0; head < view.options.heads; ++head) {
    for (std::int64_t key = 0; key < count; ++key) {
      shares[static_cast<std::size_t>(key)] += sums[view.sums.at(head, view.rows.first + key)] /
                                               (queries * static_cast<double>(view.options.heads));
    }
  }
  AttentionShares& image = at_image((*table_)[view.block], view.sequence);
  const auto patches = shares.begin() + options_.patches.first;
  image.largest_patch = *std::max_element(patches, patches + options_.patches.count);
  for (std::int64_t key = 0; key < count; ++key) {
    if (view.tokens[static_cast<std::size_t>(key)] == kAddedToken) {
      image.added += shares[static_cast<std::size_t>(key)];
    }
  }
  const auto before = options_.outliers->find(view.block - 1);
  if (before == options_.outliers->end()) return;
  for (const std::int64_t key : before->second[static_cast<std::size_t>(view.sequence)].outliers) {
    image.outliers += shares[static_cast<std::size_t>(key)];
  }
}

}  // namespace massact::observe
