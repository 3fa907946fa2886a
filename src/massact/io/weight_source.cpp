#include "massact/io/weight_source.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/base/suggest.h"

namespace massact {

const TensorInfo* WeightSource::find(std::string_view name) const {
  const auto& all = tensors();
  const auto at = std::lower_bound(
      all.begin(), all.end(), name,
      [](const TensorInfo& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return at != all.end() && at->name == name ? &*at : nullptr;
}

const TensorInfo& WeightSource::info(std::string_view name) const {
  if (const TensorInfo* found = find(name)) return *found;
  std::vector<std::string> known;
  for (const TensorInfo& tensor : tensors()) known.push_back(tensor.name);
  const auto near = near_names(name, known);
  fail(description(), "expected tensor {}, got none of that name among {} tensors{}", name,
       known.size(), near.empty() ? "" : fmt::format(" (near: {})", join(near)));
}

}  // namespace massact
