#include "massact/run/plan.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/model/embedding.h"
#include "massact/run/added_tokens.h"
#include "massact/run/site_order.h"

namespace massact {
namespace {

void check_sequence(const Model& model, const Plan::Tokens& tokens, std::size_t index) {
  const ModelConfig& config = model.config();
  const auto count = static_cast<std::int64_t>(tokens.size());
  require(count > 0, model.name(), "expected at least one token in sequence {}, got none", index);
  require(count <= config.max_positions, model.name(),
          "expected at most {} tokens in a sequence (the model's limit), got {} in sequence {} "
          "(give a smaller --seq-len)",
          config.max_positions, count, index);
  for (std::size_t position = 0; position < tokens.size(); ++position) {
    require(tokens[position] >= 0 && tokens[position] < config.vocab, model.name(),
            "expected token ids from 0 to {}, got {} at position {} of sequence {} (is this the "
            "model's tokenizer?)",
            config.vocab - 1, tokens[position], position, index);
  }
}

}  // namespace

Plan::Plan(Model model, std::vector<Tokens> sequences)
    : model_(std::move(model)), sequences_(std::move(sequences)) {
  if (model_.config().is_vision()) {
    fail_usage(model_.name(), "expected images: this model ({}) reads no text (give --images)",
               model_.config().name);
  }
  require(!sequences_.empty(), model_.name(), "expected at least one sequence, got none");
  for (std::size_t i = 0; i < sequences_.size(); ++i) check_sequence(model_, sequences_[i], i);
  if (model_.config().prefix_rows() > 0) {
    for (auto& tokens : sequences_) tokens.insert(tokens.begin(), kNoToken);
  }
  streams_.push_back({"original", {}, 0});
}

Plan::Plan(Model model, std::shared_ptr<const PixelSource> images)
    : model_(std::move(model)), images_(std::move(images)) {
  const ModelConfig& config = model_.config();
  const VisionConfig& vision = config.vision;
  if (!config.is_vision()) {
    fail_usage(model_.name(), "expected text: this model ({}) reads no images (give --text)",
               config.name);
  }
  require(images_->count() > 0, model_.name(), "expected at least one image, got none");
  require(images_->channels() == vision.channels, model_.name(),
          "expected images of {} channels, got {}", vision.channels, images_->channels());
  const PatchGrid grid = vision.grid_of(images_->height(), images_->width());
  require(grid.rows > 0 && grid.columns > 0, model_.name(),
          "expected images of at least one patch of {} x {} pixels, got {} x {}",
          vision.patch_height, vision.patch_width, images_->height(), images_->width());
  require(!vision.fixed_size ||
              (images_->height() == vision.image_height && images_->width() == vision.image_width),
          model_.name(),
          "expected images of {} x {} pixels (this model's positions are not fitted to other "
          "sizes), got {} x {}",
          vision.image_height, vision.image_width, images_->height(), images_->width());
  image_rows_.assign(static_cast<std::size_t>(config.prefix_rows()), kNoToken);
  image_rows_.resize(
      static_cast<std::size_t>(config.prefix_rows() + vision.leading_tokens() + grid.count()), 0);
  image_count_ = std::ssize(image_rows_);
  streams_.push_back({"original", {}, 0});
}

PatchGrid Plan::grid() const {
  if (!images_) return {};
  return model_.config().vision.grid_of(images_->height(), images_->width());
}

std::int64_t Plan::sequence_count() const {
  return images_ ? images_->count() : std::ssize(sequences_);
}

std::span<const std::int32_t> Plan::tokens(std::int64_t sequence) const {
  return tokens(sequence, 0);
}

std::span<const std::int32_t> Plan::tokens(std::int64_t sequence, int stream) const {
  if (!images_) return sequences_[static_cast<std::size_t>(sequence)];
  const std::int64_t added = streams_[static_cast<std::size_t>(stream)].added_tokens;
  return std::span(image_rows_).first(static_cast<std::size_t>(image_count_ + added));
}

std::int64_t Plan::most_added_tokens() const {
  std::int64_t most = 0;
  for (const Stream& stream : streams_) most = std::max(most, stream.added_tokens);
  return most;
}

std::vector<std::int64_t> Plan::lengths() const {
  std::vector<std::int64_t> lengths;
  for (std::int64_t s = 0; s < sequence_count(); ++s) lengths.push_back(std::ssize(tokens(s)));
  return lengths;
}

void Plan::require_site(Site site) const {
  const std::string reason = absence(site, model_.config());
  if (!reason.empty()) fail_usage(name_of(site), "{} has no such site: {}", model_.name(), reason);
  const bool block_exists = site.block >= 0 && site.block < model_.config().layers;
  if (is_block_site(site.kind) && !block_exists) {
    fail_usage(name_of(site), "expected a block from 0 to {}, got {}", model_.config().layers - 1,
               site.block);
  }
}

void Plan::attach(const std::vector<Site>& sites, std::unique_ptr<Observer> observer, int stream) {
  if (sites.empty()) fail_usage("observer", "expected at least one site, got none");
  require_stream(stream);
  for (const Site site : sites) {
    require_site(site);
    attached_.push_back({site, stream, observer.get(), 0});
  }
  observers_.push_back(std::move(observer));
}

void Plan::require_stream(int stream) const {
  if (stream < 0 || stream >= static_cast<int>(streams_.size())) {
    fail_usage("observer", "expected a stream from 0 to {}, got {}", streams_.size() - 1, stream);
  }
}

void Plan::attach(const std::vector<int>& blocks, std::unique_ptr<AttentionObserver> observer,
                  int stream) {
  if (blocks.empty()) fail_usage("observer", "expected at least one block, got none");
  require_stream(stream);
  for (const int block : blocks) {
    require_site({SiteKind::z, block});
    for (const Watched& other : watched_) {
      if (other.block == block && other.stream == stream) {
        fail_usage(name_of(Site{SiteKind::z, block}),
                   "expected one observer of attention, got a second one");
      }
    }
    watched_.push_back({block, stream, observer.get(), 0});
  }
  attention_observers_.push_back(std::move(observer));
}

void Plan::require_can_add(const std::string& name, const std::vector<SiteEdit>& edits) const {
  const ModelConfig& config = model_.config();
  if (!images_) fail_usage(name, "expected images to add tokens to, got texts");
  const std::string absent = no_added_tokens(config);
  if (!absent.empty()) fail_usage(name, "{}", absent);
  for (const SiteEdit& edit : edits) {
    if (edit.site.block >= 0 || edit.site.kind >= SiteKind::ln_final_out) continue;
    fail_usage(name_of(edit.site),
               "expected edits within the blocks in a variant that adds tokens");
  }
}

int Plan::fork(std::string name, std::vector<SiteEdit> edits, std::int64_t added_tokens) {
  constexpr std::int64_t kMostAdded = 4096;
  if (added_tokens < 0 || added_tokens > kMostAdded) {
    fail_usage(name, "expected 0 to {} tokens to add, got {}", kMostAdded, added_tokens);
  }
  if (edits.empty() && added_tokens == 0) {
    fail_usage(name, "expected at least one edit, got none");
  }
  const int stream = static_cast<int>(streams_.size());
  Site first = {SiteKind::resid_pre, 0};
  if (added_tokens > 0) {
    require_can_add(name, edits);
    const auto rows = static_cast<std::size_t>(image_count_ + added_tokens);
    if (image_rows_.size() < rows) image_rows_.resize(rows, kAddedToken);
  } else {
    first = edits.front().site;
  }
  for (auto& edit : edits) {
    require_site(edit.site);
    if (site_order(edit.site) < site_order(first)) first = edit.site;
    planned_.push_back({edit.site, stream, std::move(edit.edit), 0});
  }
  streams_.push_back({std::move(name), first, added_tokens});
  return stream;
}

std::pair<int, bool> Plan::extent() const {
  int last_block = -1;
  bool needs_end = false;
  const auto include = [&](Site site) {
    const bool end = site.kind >= SiteKind::ln_final_out;
    needs_end |= end;
    last_block =
        std::max(last_block, end ? static_cast<int>(model_.config().layers) - 1 : site.block);
  };
  for (const auto& attached : attached_) include(attached.site);
  for (const auto& watched : watched_) include({SiteKind::z, watched.block});
  for (const auto& planned : planned_) include(planned.site);
  if (last_block < 0 && most_added_tokens() > 0) last_block = 0;
  return {last_block, needs_end};
}

namespace sites {

std::vector<Site> resid_post(const ModelConfig& config) {
  std::vector<Site> all;
  for (int block = 0; block < config.layers; ++block) all.push_back({SiteKind::resid_post, block});
  return all;
}

std::vector<Site> hidden_states(const ModelConfig& config, const std::vector<int>& layers) {
  std::vector<Site> all;
  for (const int layer : layers) {
    if (layer < 0 || layer > config.layers) {
      fail_usage("--layers", "expected layers from 0 (the embedding) to {}, got {}", config.layers,
                 layer);
    }
    all.push_back(layer == 0 ? Site{SiteKind::resid_pre, 0}
                             : Site{SiteKind::resid_post, layer - 1});
  }
  return all;
}

}  // namespace sites

int layer_of(Site site) { return site.kind == SiteKind::resid_post ? site.block + 1 : site.block; }

}  // namespace massact
