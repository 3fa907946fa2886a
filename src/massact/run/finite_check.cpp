#include "massact/run/finite_check.h"

#include <cmath>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/ops/elementwise.h"

namespace massact {
namespace {

bool has_non_finite(const WeightSource& source, const TensorInfo& info) {
  constexpr std::int64_t kChunk = 1 << 16;
  std::vector<float> chunk(kChunk);
  const std::int64_t count = info.shape.element_count();
  for (std::int64_t first = 0; first < count; first += kChunk) {
    const std::int64_t n = std::min(kChunk, count - first);
    source.read(info.name, first, n, chunk.data());
    for (std::int64_t i = 0; i < n; ++i) {
      if (!std::isfinite(chunk[static_cast<std::size_t>(i)])) return true;
    }
  }
  return false;
}

// True for the weights that act between the last check and this site.
bool acts_before(const std::string& canonical, Site site, const ModelConfig& config) {
  if (site.block >= 0) return canonical.starts_with(fmt::format("blocks.{}.", site.block));
  const bool embeds = canonical.starts_with("embed.") || canonical.starts_with("pos_embed.");
  if (site.kind == SiteKind::embed) return embeds;
  return (!embeds && !canonical.starts_with("blocks.")) ||
         (config.tied_embeddings && canonical == "embed.W_E");
}

// The cause is most often a broken file: name its tensors.
std::string explain(const Model& model, Site site) {
  std::vector<std::string> broken;
  const WeightSource& source = model.weights().source();
  for (const auto& name : model.weights().names("")) {
    if (!acts_before(name, site, model.config())) continue;
    const TensorInfo& info = source.info(model.weights().source_name(name));
    if (has_non_finite(source, info)) broken.push_back(info.name);
  }
  if (broken.empty()) return "the weights there are finite: an overflow in the computation";
  return "weights with NaN or infinite values: " + join(broken);
}

}  // namespace

void require_finite(ConstFloatMatrix values, const Plan& plan, Site site, int stream,
                    const Batch& batch, Threads& threads) {
  const std::int64_t at = ops::find_non_finite(values, threads);
  if (at < 0) return;
  const std::int64_t row = at / values.cols;
  std::size_t s = 0;
  while (s + 1 < batch.sequences.size() && batch.sequences[s + 1].first <= row) ++s;
  const std::string layer = site.block < 0 ? "" : fmt::format("layer {}, ", site.block + 1);
  fail(layer + name_of(site),
       "expected finite activations, got {} in stream '{}', sequence {}, position {}, dimension {} "
       "({})",
       values(row, at % values.cols), plan.streams()[static_cast<std::size_t>(stream)].name,
       batch.first_sequence + static_cast<std::int64_t>(s),
       batch.first_position + row - batch.sequences[s].first, at % values.cols,
       explain(plan.model(), site));
}

}  // namespace massact
