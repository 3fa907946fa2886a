// What to do in one sweep over the weights: which texts, who watches, what is edited.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "massact/image/pixel_source.h"
#include "massact/model/model.h"
#include "massact/run/observer.h"

namespace massact {

/// An edit and where it applies.
struct SiteEdit {
  Site site;
  std::unique_ptr<Edit> edit;
};

/// One pass's orders. Not thread-safe; run it once (`run(plan, …)` in executor.h).
///
///     Plan plan(model, sequences);
///     auto& magnitudes = plan.observe(sites::resid_post(model.config()), observe::Magnitudes{});
///     const int zero = plan.fork("zero", {…});
class Plan {
 public:
  using Tokens = std::vector<std::int32_t>;

  /// Throws Error if there is no sequence, one is empty, longer than the model allows or has ids
  /// out of range; UsageError if the model reads images.
  Plan(Model model, std::vector<Tokens> sequences);

  /// Images instead of texts: sequence i is image i of `images`. Throws Error if there is none or
  /// they do not fit the model's patches; UsageError if the model reads texts.
  Plan(Model model, std::shared_ptr<const PixelSource> images);

  /// Attaches an observer to sites of a stream (0: the original). The plan owns it; the reference
  /// stays valid as long as the plan. A site that the architecture lacks is a UsageError.
  template <std::derived_from<Observer> O>
  O& observe(const std::vector<Site>& sites, O observer, int stream = 0) {
    auto owned = std::make_unique<O>(std::move(observer));
    O& reference = *owned;
    attach(sites, std::move(owned), stream);
    return reference;
  }

  /// Attaches an observer of attention to blocks of a stream; one per block and stream. UsageError
  /// for blocks that do not exist.
  template <std::derived_from<AttentionObserver> O>
  O& watch_attention(const std::vector<int>& blocks, O observer, int stream = 0) {
    auto owned = std::make_unique<O>(std::move(observer));
    O& reference = *owned;
    attach(blocks, std::move(owned), stream);
    return reference;
  }

  /// A new stream that shares everything with the original up to its first edited site. Returns
  /// its number. Edits of the same site apply in the given order.
  ///
  /// `added_tokens` (images only) appends so many tokens to every image: zeros before the stem's
  /// norm (if there is one), without a position, seen by all others like registers; gone before
  /// the final norm, so that heads read what they always read. Such a stream shares only the
  /// embedding, may have no edits, and none at the embedding. Their ids are kAddedToken.
  int fork(std::string name, std::vector<SiteEdit> edits, std::int64_t added_tokens = 0);

  // What follows is for the executor.

  struct Attached {
    Site site;
    int stream = 0;
    Observer* observer = nullptr;
    std::int64_t visits = 0;
  };
  struct Watched {
    int block = 0;
    int stream = 0;
    AttentionObserver* observer = nullptr;
    std::int64_t visits = 0;
  };
  struct Planned {
    Site site;
    int stream = 0;
    std::unique_ptr<Edit> edit;
    std::int64_t values_set = 0;
  };
  struct Stream {
    std::string name;
    Site first_edit;  ///< meaningless for stream 0
    std::int64_t added_tokens = 0;
  };

  const Model& model() const { return model_; }
  /// Of texts: token ids of every sequence, with the sink token's row (embedding.h) where there is
  /// one. Empty for images.
  const std::vector<Tokens>& sequences() const { return sequences_; }
  /// Null for texts.
  const PixelSource* images() const { return images_.get(); }
  /// The patches of each image; nothing for texts. A sequence's rows are the sink token's (if there
  /// is one), vision.class_tokens, vision.registers, then the patches row by row.
  PatchGrid grid() const;
  std::int64_t sequence_count() const;
  /// One id per row of a sequence: the token's; of an image 0, the sink token's row -1.
  std::span<const std::int32_t> tokens(std::int64_t sequence) const;
  /// With the rows that the stream adds.
  std::span<const std::int32_t> tokens(std::int64_t sequence, int stream) const;
  /// Rows of every sequence, the sink token's included, those that streams add not.
  std::vector<std::int64_t> lengths() const;
  /// The most tokens that a stream adds.
  std::int64_t most_added_tokens() const;
  const std::vector<Stream>& streams() const { return streams_; }
  std::vector<Attached>& observers() { return attached_; }
  std::vector<Watched>& watched_attention() { return watched_; }
  bool watches_attention() const { return !watched_.empty(); }
  std::vector<Planned>& edits() { return planned_; }

  /// The last block that has to run, or -1; true second if the logits end is needed as well.
  std::pair<int, bool> extent() const;

 private:
  void attach(const std::vector<Site>& sites, std::unique_ptr<Observer> observer, int stream);
  void attach(const std::vector<int>& blocks, std::unique_ptr<AttentionObserver> observer,
              int stream);
  void require_site(Site site) const;
  void require_can_add(const std::string& name, const std::vector<SiteEdit>& edits) const;
  void require_stream(int stream) const;

  Model model_;
  std::vector<Tokens> sequences_;
  std::shared_ptr<const PixelSource> images_;
  Tokens image_rows_;             // what `tokens` says of any image, added rows included
  std::int64_t image_count_ = 0;  // of them, without the added rows
  std::vector<Stream> streams_;
  std::vector<std::unique_ptr<Observer>> observers_;
  std::vector<Attached> attached_;
  std::vector<std::unique_ptr<AttentionObserver>> attention_observers_;
  std::vector<Watched> watched_;
  std::vector<Planned> planned_;
};

/// Frequent choices of sites.
namespace sites {
/// The residual stream after every block.
std::vector<Site> resid_post(const ModelConfig& config);
/// The residual stream after the layers that users count: 0 is the embedding (resid_pre of block
/// 0), l the output of block l - 1. Throws UsageError for layers the model does not have.
std::vector<Site> hidden_states(const ModelConfig& config, const std::vector<int>& layers);
}  // namespace sites

/// The layer that users count for a site of the residual stream: 0 for resid_pre of block 0.
int layer_of(Site site);

}  // namespace massact
