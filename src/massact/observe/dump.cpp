#include "massact/observe/dump.h"

#include <algorithm>

#include "massact/base/error.h"

namespace massact::observe {

Dump::Dump(const std::filesystem::path& path, const std::vector<Site>& sites,
           const ModelConfig& config, std::vector<std::int64_t> lengths,
           const std::map<std::string, std::string>& metadata)
    : heads_(config.heads), pools_(config.head.pools()), lengths_(std::move(lengths)) {
  require(!sites.empty() && !lengths_.empty(), "trace", "expected sites and sequences, got none");
  std::vector<SafetensorsWriter::Declaration> tensors;
  for (const Site site : sites) {
    const std::int64_t count = stacked() ? 1 : std::ssize(lengths_);
    for (std::int64_t n = 0; n < count; ++n) {
      auto shape = site_shape(site.kind, config, lengths_[static_cast<std::size_t>(n)]);
      if (stacked()) shape.insert(shape.begin(), std::ssize(lengths_));
      tensors.push_back({tensor_name(site, n), DType::f32, Shape(std::move(shape))});
    }
  }
  writer_ = std::make_unique<SafetensorsWriter>(path, std::move(tensors), metadata);
}

bool Dump::stacked() const {
  return std::all_of(lengths_.begin(), lengths_.end(),
                     [&](std::int64_t length) { return length == lengths_.front(); });
}

std::string Dump::tensor_name(Site site, std::int64_t sequence) const {
  return stacked() ? name_of(site) : fmt::format("seq{}/{}", sequence, name_of(site));
}

void Dump::observe(const SiteView& view, Threads&) {
  const std::string where = name_of(view.site);
  require(view.sequence >= 0 && view.sequence < std::ssize(lengths_), where,
          "expected a sequence below {}, got {}", lengths_.size(), view.sequence);
  const std::int64_t positions = lengths_[static_cast<std::size_t>(view.sequence)];
  require(std::ssize(view.tokens) == positions, where, "expected {} positions, got {}", positions,
          view.tokens.size());
  const FloatMatrix& values = view.values;
  const float* data = values.data;
  if (values.rows > 1 && values.stride != values.cols) {
    rows_.clear();
    for (std::int64_t r = 0; r < values.rows; ++r) {
      rows_.insert(rows_.end(), values.row(r), values.row(r) + values.cols);
    }
    data = rows_.data();
  }
  // Attention maps have one matrix of T rows per head, everything else one per sequence: of T rows,
  // or of one (logits of a head that pools).
  const bool one_row = view.site.kind == SiteKind::logits && pools_;
  const std::int64_t rows = one_row ? 1 : positions;
  std::int64_t first_row = std::max<std::int64_t>(view.head, 0) * rows + view.first_position;
  if (stacked())
    first_row += view.sequence * rows * (is_attention_map(view.site.kind) ? heads_ : 1);
  writer_->write(
      tensor_name(view.site, view.sequence),
      static_cast<std::uint64_t>(first_row * values.cols) * sizeof(float),
      std::as_bytes(std::span(data, static_cast<std::size_t>(values.rows * values.cols))));
}

void Dump::commit() { writer_->commit(); }

}  // namespace massact::observe
