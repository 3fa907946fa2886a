#include "massact/model/weight_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "massact/base/error.h"

namespace massact {
namespace {

constexpr std::size_t kMostListed = 12;

std::string with_block(std::string_view name, std::int64_t block) {
  std::string result(name);
  if (const auto star = result.find('*'); star != std::string::npos) {
    result.replace(star, 1, std::to_string(block));
  }
  return result;
}

// "@layers.*.x" -> "model.layers.3.x".
std::string source_name_of(std::string_view name, std::string_view prefix, std::int64_t block) {
  std::string result = with_block(name, block);
  if (result.starts_with('@')) result.replace(0, 1, prefix);
  return result;
}

// Glob with `*` only. Greedy with one point of return: linear in practice, no recursion.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// The prefix under which most of the table's names exist.
std::string choose_prefix(const WeightTable& table, const WeightSource& source) {
  std::string best;
  std::size_t most = 0;
  for (const auto& prefix : table.prefixes) {
    std::size_t found = 0;
    for (const auto& spec : table.specs) {
      for (const auto& name : spec.sources) {
        found += source.find(source_name_of(name, prefix, 0)) != nullptr;
      }
    }
    if (found > most) {
      most = found;
      best = prefix;
    }
  }
  return most == 0 ? table.prefixes.front() : best;
}

void append_problem(std::string& text, std::string_view what,
                    const std::vector<std::string>& names) {
  if (names.empty()) return;
  const std::size_t shown = std::min(names.size(), kMostListed);
  text += fmt::format(
      "{}{} {}: {}", text.empty() ? "" : "; ", names.size(), what,
      fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(", and {} more", names.size() - shown);
}

// Of one expert, if the tensor holds those of all.
Shape expert_shape(const WeightSpec& spec) {
  if (spec.expert < 0) return spec.shape;
  const auto& extents = spec.shape.extents();
  return Shape(std::vector<std::int64_t>(extents.begin() + 1, extents.end()));
}

// The matrix that a tensor is: WeightPlacement says how.
Shape as_matrix(const Shape& shape, std::string_view name) {
  if (shape.rank() == 2) return shape;
  const std::int64_t count = shape.element_count(name);
  if (shape.rank() < 2) return {count, 1};
  const std::int64_t last = shape[shape.rank() - 1];
  if (shape[0] == 1) return {last == 0 ? 0 : count / last, last};
  return {shape[0], shape[0] == 0 ? 0 : count / shape[0]};
}

// A row may be stored as a vector (GGUF leaves such extents out).
bool fits(const Shape& stored, const Shape& expected) {
  if (stored == expected) return true;
  return expected.rank() == 2 && expected[0] == 1 && stored.rank() == 1 && stored[0] == expected[1];
}

}  // namespace

std::string WeightSpec::source_name(std::string_view prefix, std::int64_t block) const {
  return source_name_of(sources.front(), prefix, block);
}

WeightSpec& WeightTable::add(std::string canonical, std::string source, Shape shape) {
  WeightSpec spec;
  spec.canonical = std::move(canonical);
  spec.sources = {std::move(source)};
  spec.shape = std::move(shape);
  specs.push_back(std::move(spec));
  return specs.back();
}

void WeightTable::ignore(std::string pattern, std::string reason) {
  ignored.push_back({std::move(pattern), std::move(reason)});
}

BoundWeights BoundWeights::bind(const WeightTable& table,
                                std::shared_ptr<const WeightSource> source, std::int64_t blocks) {
  BoundWeights bound;
  const std::string prefix = choose_prefix(table, *source);
  std::set<std::string, std::less<>> used;
  std::vector<std::string> missing, misshaped, unexpected;

  const auto bind_one = [&](const WeightSpec& spec, std::int64_t block) {
    for (const auto& name : spec.sources) {
      const std::string full = source_name_of(name, prefix, block);
      const TensorInfo* info = source->find(full);
      if (info == nullptr) continue;
      used.insert(full);
      if (!fits(info->shape, spec.shape)) {
        misshaped.push_back(fmt::format("{} expected {} got {}", full, spec.shape.to_string(),
                                        info->shape.to_string()));
      }
      bound.bindings_[with_block(spec.canonical, block)] = {full, spec};
      return;
    }
    missing.push_back(spec.source_name(prefix, block));
  };
  for (const auto& spec : table.specs) {
    const bool per_block = spec.canonical.find('*') != std::string::npos;
    for (std::int64_t block = 0; block < (per_block ? blocks : 1); ++block) bind_one(spec, block);
  }
  for (const auto& info : source->tensors()) {
    if (used.contains(info.name)) continue;
    const IgnoredTensors* reason = nullptr;
    for (const auto& ignored : table.ignored) {
      if (matches(ignored.pattern, info.name)) reason = &ignored;
    }
    if (reason) {
      bound.ignored_.emplace_back(info.name, reason->reason);
    } else {
      unexpected.push_back(info.name);
    }
  }
  std::string problems;
  append_problem(problems, "missing", missing);
  append_problem(problems, "of another shape than the config says", misshaped);
  append_problem(problems, "unexpected", unexpected);
  if (!problems.empty())
    fail(source->description(), "the weights contradict the config: {}", problems);
  bound.source_ = std::move(source);
  return bound;
}

const BoundWeights::Binding& BoundWeights::at(std::string_view canonical) const {
  const auto it = bindings_.find(canonical);
  require(it != bindings_.end(), "weights", "expected a weight named '{}'", canonical);
  return it->second;
}

bool BoundWeights::has(std::string_view canonical) const {
  return bindings_.find(canonical) != bindings_.end();
}

WeightPlacement BoundWeights::placement(std::string_view canonical) const {
  const auto& [source, spec] = at(canonical);
  const Shape stored = expert_shape(spec);
  const Shape shape = as_matrix(stored, source);
  const bool transposed = spec.layout == WeightLayout::in_out && stored.rank() > 1;
  WeightPlacement place;
  place.rows = shape[transposed ? 1 : 0];
  place.columns = shape[transposed ? 0 : 1];
  place.row_stride = transposed ? 1 : shape[1];
  place.column_stride = transposed ? shape[1] : 1;
  place.first = std::max<std::int64_t>(spec.expert, 0) * shape.element_count(source);
  place.run_rows = place.rows;
  if (!spec.part.is_whole()) {
    place.rows = spec.part.count * spec.part.runs;
    place.run_rows = spec.part.count;
    place.first += spec.part.first * place.row_stride;
    place.run_stride = spec.part.period * place.row_stride;
  }
  return place;
}

BoundWeights::Matrix BoundWeights::matrix(std::string_view canonical) const {
  const Binding& binding = at(canonical);
  const WeightPlacement place = placement(canonical);
  Matrix matrix;
  ops::WeightSlice slice{.type = DType::f32,
                         .out = place.run_rows,
                         .in = place.columns,
                         .out_stride = place.row_stride,
                         .in_stride = place.column_stride};
  std::int64_t begin = 0;  // the tensor's element that `slice.data` shows
  if (source_->info(binding.source).viewable) {
    const TensorView whole = source_->view(binding.source);
    slice.type = whole.type;
    slice.data = whole.data;
  } else if (place.column_stride != 1) {
    const std::int64_t count = expert_shape(binding.spec).element_count(binding.source);
    begin = std::max<std::int64_t>(binding.spec.expert, 0) * count;
    matrix.decoded = Buffer<float>(count);
    source_->read(binding.source, begin, count, matrix.decoded.data());
    slice.data = reinterpret_cast<const std::byte*>(matrix.decoded.data());
  }
  const std::byte* data = slice.data;
  for (std::int64_t row = 0; row < place.rows; row += place.run_rows) {
    const std::int64_t first = place.element(row, 0);
    if (data != nullptr) {
      slice.data = data + static_cast<std::size_t>(first - begin) * size_of(slice.type);
    } else {
      slice.read = [source = source_, name = binding.source, first](std::int64_t at, std::int64_t n,
                                                                    float* out) {
        source->read(name, first + at, n, out);
      };
    }
    matrix.slices.push_back(slice);
  }
  return matrix;
}

std::uint64_t BoundWeights::decoded_bytes(std::string_view canonical) const {
  const Binding& binding = at(canonical);
  if (binding.spec.layout != WeightLayout::in_out) return 0;
  if (source_->info(binding.source).viewable) return 0;
  return static_cast<std::uint64_t>(expert_shape(binding.spec).element_count(binding.source)) *
         sizeof(float);
}

std::vector<float> BoundWeights::vector(std::string_view canonical) const {
  const auto it = bindings_.find(canonical);
  if (it == bindings_.end()) return {};
  const auto& [source, spec] = it->second;
  FusedPart part = spec.part;
  const std::int64_t all = expert_shape(spec).element_count(source);
  if (part.is_whole()) part.count = all;
  part.first += std::max<std::int64_t>(spec.expert, 0) * all;
  std::vector<float> values(static_cast<std::size_t>(part.count * part.runs));
  for (std::int64_t run = 0; run < part.runs; ++run) {
    source_->read(source, part.first + run * part.period, part.count,
                  values.data() + run * part.count);
  }
  return values;
}

void BoundWeights::rows(std::string_view canonical, std::int64_t first, std::int64_t count,
                        float* out) const {
  const Binding& binding = at(canonical);
  const std::int64_t columns = binding.spec.shape[1];
  source_->read(binding.source, first * columns, count * columns, out);
}

std::string BoundWeights::source_name(std::string_view canonical) const {
  return at(canonical).source;
}

std::vector<std::string> BoundWeights::names(std::string_view prefix) const {
  std::vector<std::string> found;
  for (auto it = bindings_.lower_bound(prefix);
       it != bindings_.end() && std::string_view(it->first).starts_with(prefix); ++it) {
    found.push_back(it->first);
  }
  return found;
}

std::uint64_t BoundWeights::stored_bytes(std::string_view prefix) const {
  std::set<std::string> sources;
  for (const auto& name : names(prefix)) sources.insert(at(name).source);
  std::uint64_t bytes = 0;
  for (const auto& name : sources) bytes += source_->info(name).bytes;
  return bytes;
}

void BoundWeights::will_need(std::string_view prefix) const {
  for (const auto& name : names(prefix)) source_->will_need(at(name).source);
}

void BoundWeights::release(std::string_view prefix) const {
  for (const auto& name : names(prefix)) source_->release(at(name).source);
}

}  // namespace massact
