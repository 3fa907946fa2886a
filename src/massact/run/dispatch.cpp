#include "massact/run/dispatch.h"

#include "massact/base/error.h"
#include "massact/run/finite_check.h"
#include "massact/run/site_order.h"

namespace massact {
namespace {

// True if what `runs` computes at `site` is what an observer of `watched` should see.
bool stands_for(const Plan& plan, int runs, int watched, Site site) {
  if (watched == 0) return runs == 0;
  const Site fork = plan.streams()[static_cast<std::size_t>(watched)].first_edit;
  const bool before_fork = site_order(site) < site_order(fork);
  return before_fork ? runs == 0 : runs == watched;
}

}  // namespace

Dispatch::Dispatch(Plan& plan, int stream, int block, Threads& threads, StageTimes& times)
    : plan_(plan), stream_(stream), block_(block), threads_(threads), times_(times) {
  for (auto& attached : plan.observers()) {
    if (attached.site.block == block && stands_for(plan, stream, attached.stream, attached.site)) {
      by_kind_[static_cast<std::size_t>(attached.site.kind)].observers.push_back(&attached);
    }
  }
  for (auto& watched : plan.watched_attention()) {
    if (watched.block == block && stands_for(plan, stream, watched.stream, {SiteKind::z, block})) {
      watched_ = &watched;
    }
  }
  for (auto& planned : plan.edits()) {
    if (planned.site.block == block && planned.stream == stream) {
      by_kind_[static_cast<std::size_t>(planned.site.kind)].edits.push_back(&planned);
    }
  }
}

bool Dispatch::wants_attention(ops::AttentionSums& sums) {
  if (watched_ == nullptr) return false;
  require(!wants(SiteKind::attn_scores) && !wants(SiteKind::pattern),
          name_of(Site{SiteKind::pattern, block_}),
          "expected attention maps or attention sums to be watched in one run, got both");
  sums.prefix = watched_->observer->prefix();
  sums.chosen.assign(static_cast<std::size_t>(batch_->rows), 0);
  for (std::size_t s = 0; s < batch_->sequences.size(); ++s) {
    const ops::RowRange& rows = batch_->sequences[s];
    watched_->observer->choose(
        block_, batch_->first_sequence + static_cast<std::int64_t>(s),
        std::span(sums.chosen)
            .subspan(static_cast<std::size_t>(rows.first), static_cast<std::size_t>(rows.count)));
  }
  return true;
}

void Dispatch::visit_attention(const ops::AttentionOptions& options, ops::AttentionSums& sums,
                               ConstFloatMatrix z) {
  for (std::size_t s = 0; s < batch_->sequences.size(); ++s) {
    const AttentionView view{.block = block_,
                             .stream = watched_->stream,
                             .sequence = batch_->first_sequence + static_cast<std::int64_t>(s),
                             .tokens = tokens_of(s),
                             .rows = batch_->sequences[s],
                             .index = static_cast<std::int64_t>(s),
                             .sequences_in_batch = std::ssize(batch_->sequences),
                             .options = options,
                             .sums = sums,
                             .z = z};
    times_.measure(Stage::observers, [&] { watched_->observer->observe(view, threads_); });
    ++watched_->visits;
  }
}

bool Dispatch::wants(SiteKind kind) const {
  const Here& here = by_kind_[static_cast<std::size_t>(kind)];
  // The block's result is always visited: that is where values are checked.
  return kind == SiteKind::resid_post || !here.observers.empty() || !here.edits.empty();
}

std::span<const std::int32_t> Dispatch::tokens_of(std::size_t sequence_in_batch) const {
  const auto index = batch_->first_sequence + static_cast<std::int64_t>(sequence_in_batch);
  // Outside the blocks there are no added rows.
  return plan_.tokens(index, block_ < 0 ? 0 : stream_)
      .subspan(static_cast<std::size_t>(batch_->dropped_rows));
}

SiteView Dispatch::view_of(SiteKind kind, std::size_t sequence_in_batch) const {
  SiteView view;
  view.site = {kind, block_};
  view.stream = stream_;
  view.sequence = batch_->first_sequence + static_cast<std::int64_t>(sequence_in_batch);
  view.tokens = tokens_of(sequence_in_batch);
  view.first_position = batch_->first_position;
  return view;
}

bool Dispatch::apply_edits(Here& here, const SiteView& view) {
  bool edited = false;
  for (Plan::Planned* planned : here.edits) {
    const std::int64_t count = planned->edit->apply(view);
    planned->values_set += count;
    edited |= count > 0;
  }
  return edited;
}

void Dispatch::show(Here& here, SiteView view) {
  for (Plan::Attached* attached : here.observers) {
    view.stream = attached->stream;
    times_.measure(Stage::observers, [&] { attached->observer->observe(view, threads_); });
    ++attached->visits;
  }
}

bool Dispatch::visit(SiteKind kind, FloatMatrix values) {
  Here& here = by_kind_[static_cast<std::size_t>(kind)];
  const auto view_of_rows = [&](std::size_t s) {
    const ops::RowRange& rows = batch_->sequences[s];
    SiteView view = view_of(kind, s);
    view.values = values.slice_rows(rows.first, rows.count);
    return view;
  };
  bool edited = false;
  for (std::size_t s = 0; s < batch_->sequences.size() && !here.edits.empty(); ++s) {
    edited |= apply_edits(here, view_of_rows(s));
  }
  // Before any observer meets them: this check knows which weights are to blame.
  if (kind == SiteKind::resid_post) {
    require_finite(values, plan_, {kind, block_}, stream_, *batch_, threads_);
  }
  for (std::size_t s = 0; s < batch_->sequences.size() && !here.observers.empty(); ++s) {
    show(here, view_of_rows(s));
  }
  return edited;
}

bool Dispatch::visit_map(SiteKind kind, std::int64_t sequence, std::int64_t head,
                         std::int64_t first_query, FloatMatrix values) {
  Here& here = by_kind_[static_cast<std::size_t>(kind)];
  SiteView view = view_of(kind, static_cast<std::size_t>(sequence));
  view.head = head;
  view.first_position = first_query;
  view.values = values;
  const bool edited = apply_edits(here, view);
  show(here, view);
  return edited;
}

}  // namespace massact
