// Patches of an image whose vectors are far longer than the others': the artefacts that registers
// take over (Darcet et al., arXiv 2309.16588), what neurons do in them, and what attention they
// get.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "massact/run/observer.h"

namespace massact::observe {

/// Which rows of an image are its patches.
struct PatchRows {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

/// What an outlier is.
struct OutlierRule {
  /// ‖h‖₂ at least so many times the lower median of the image's patches.
  double ratio = 3.0;
  /// If > 0: ‖h‖₂ at least so much instead (published: 30 behind the last layer of OpenCLIP-B/16,
  /// 150 behind the last but one of DINOv2-L).
  double norm = 0.0;
};

/// One image behind one block.
struct PatchNorms {
  double largest = 0.0;
  double median = 0.0;                 ///< lower median
  double added = 0.0;                  ///< the largest norm of a token that the stream adds
  std::vector<std::int64_t> outliers;  ///< rows, ascending
};

/// By block, then by image.
using OutlierTable = std::map<int, std::vector<PatchNorms>>;

/// Watches sites of the residual stream; fills the table.
class OutlierPatches final : public Observer {
 public:
  OutlierPatches(PatchRows patches, OutlierRule rule, std::shared_ptr<OutlierTable> table)
      : patches_(patches), rule_(rule), table_(std::move(table)) {}
  void observe(const SiteView& view, Threads& threads) override;

 private:
  PatchRows patches_;
  OutlierRule rule_;
  std::shared_ptr<OutlierTable> table_;
};

/// The activations of a block's neurons, over the images that have outliers: means over the image's
/// outliers and over its other patches of |activation|, summed over images.
struct NeuronSums {
  std::int64_t images = 0;
  std::vector<double> at_outliers, elsewhere;  ///< [f]
};

/// Watches mlp.hook_post. `outliers`: by image, rows.
class OutlierNeurons final : public Observer {
 public:
  OutlierNeurons(PatchRows patches, std::vector<std::vector<std::int64_t>> outliers)
      : patches_(patches), outliers_(std::move(outliers)) {}
  void observe(const SiteView& view, Threads& threads) override;

  const std::map<int, NeuronSums>& blocks() const { return blocks_; }

 private:
  PatchRows patches_;
  std::vector<std::vector<std::int64_t>> outliers_;
  std::map<int, NeuronSums> blocks_;
};

/// Shares of the attention of an image's queries in one block, means over heads.
struct AttentionShares {
  double outliers = 0.0;       ///< to the patches that are outliers in what the block reads
  double largest_patch = 0.0;  ///< to the patch that gets most
  double added = 0.0;          ///< to tokens that the stream adds
};

/// By block, then by image.
using AttentionTable = std::map<int, std::vector<AttentionShares>>;

struct AttentionSharesOptions {
  PatchRows patches;
  bool first_query = true;  ///< the class token's attention; else the mean over all queries
  std::shared_ptr<const OutlierTable> outliers;  ///< of the same stream
};

/// Watches attention (Plan::watch_attention); fills the table.
class OutlierAttention final : public AttentionObserver {
 public:
  OutlierAttention(AttentionSharesOptions options, std::shared_ptr<AttentionTable> table)
      : options_(std::move(options)), table_(std::move(table)) {}

  void choose(int, std::int64_t, std::span<std::uint8_t>) override {}
  std::int64_t prefix() const override { return options_.first_query ? 1 : 0; }
  void observe(const AttentionView& view, Threads& threads) override;

 private:
  AttentionSharesOptions options_;
  std::shared_ptr<AttentionTable> table_;
};

}  // namespace massact::observe
