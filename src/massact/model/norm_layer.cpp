#include "massact/model/norm_layer.h"

#include <span>

namespace massact {
namespace {

// A row's mean as the norm's divisor needs it (zero for RMSNorm).
double row_mean(const ModelConfig& config, const float* x, std::int64_t count) {
  if (config.norm == NormKind::rms) return 0.0;
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i];
  return sum / static_cast<double>(count);
}

// Somebody wrote the divisors: rows whose divisor changed are normalised again.
void renormalise(const ModelConfig& config, ConstFloatMatrix hidden,
                 std::span<const float> old_scale, const float* scale, FloatMatrix normalized) {
  for (std::int64_t r = 0; r < hidden.rows; ++r) {
    if (old_scale[static_cast<std::size_t>(r)] == scale[r]) continue;
    const double mean = row_mean(config, hidden.row(r), hidden.cols);
    for (std::int64_t c = 0; c < hidden.cols; ++c) {
      normalized(r, c) = static_cast<float>((hidden(r, c) - mean) / scale[r]);
    }
  }
}

SiteKind site_after(SiteKind scale_site, int steps) {
  return static_cast<SiteKind>(static_cast<int>(scale_site) + steps);
}

}  // namespace

NormWeights NormWeights::read(const BoundWeights& weights, const std::string& canonical) {
  return {weights.vector(canonical + ".w"), weights.vector(canonical + ".b")};
}

ops::NormOptions NormWeights::options(const ModelConfig& config) const {
  return {.subtract_mean = config.norm == NormKind::layer,
          .eps = config.norm_eps,
          .weight_offset = config.norm_weight_offset,
          .weight = weight,
          .bias = bias};
}

bool wants_norm(const SiteVisitor& sites, SiteKind scale_site) {
  return sites.wants(scale_site) || sites.wants(site_after(scale_site, 1)) ||
         sites.wants(site_after(scale_site, 2));
}

void run_norm(const ModelConfig& config, const NormWeights& weights, SiteKind scale_site,
              ConstFloatMatrix hidden, FloatMatrix out, SiteVisitor& sites, Workspace& workspace,
              Threads& threads) {
  const SiteKind normalized_site = site_after(scale_site, 1);
  const SiteKind out_site = site_after(scale_site, 2);
  const bool shows_scale = sites.wants(scale_site);
  const bool shows_inside = shows_scale || sites.wants(normalized_site);
  const ops::NormOptions options = weights.options(config);
  ops::NormOutputs outputs;
  outputs.out = out;
  if (shows_inside) {
    outputs.normalized = Workspace::take(workspace.normalized, hidden.rows, hidden.cols);
    outputs.scale = Workspace::take(workspace.scale, hidden.rows, 1).data;
  }
  ops::norm(hidden, options, outputs, threads);
  bool edited = false;
  if (shows_scale) {
    const std::vector<float> old(outputs.scale, outputs.scale + hidden.rows);
    if (sites.visit(scale_site, {outputs.scale, hidden.rows, 1})) {
      renormalise(config, hidden, old, outputs.scale, outputs.normalized);
      edited = true;
    }
  }
  if (sites.wants(normalized_site)) edited |= sites.visit(normalized_site, outputs.normalized);
  if (edited) ops::norm_affine(outputs.normalized, options, out, threads);
  if (sites.wants(out_site)) sites.visit(out_site, out);
}

}  // namespace massact
