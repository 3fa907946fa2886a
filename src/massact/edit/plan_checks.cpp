#include "massact/edit/plan_checks.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "massact/base/error.h"

namespace massact::edit {
namespace {

/// Scalars looked at together: a few rows of any site.
constexpr std::int64_t kScalars = std::int64_t{1} << 18;

using Edits = std::vector<const Chosen*>;

// A whole sequence without values.
SiteView rows_of(Site site, const Plan::Tokens& tokens, std::size_t sequence,
                 const ModelConfig& config) {
  SiteView view;
  view.site = site;
  view.sequence = static_cast<std::int64_t>(sequence);
  view.tokens = tokens;
  view.values.rows = std::ssize(tokens);
  view.values.cols = site_width(site.kind, config);
  return view;
}

// Who has chosen the scalars of some rows: the number of its edit, or -1.
class Owners {
 public:
  Owners(const Edits& edits, std::int64_t width)
      : edits_(edits),
        width_(width),
        rows_(std::max<std::int64_t>(1, kScalars / width)),
        owner_(static_cast<std::size_t>(rows_ * width)) {}

  void check(SiteView view) {
    const std::int64_t rows = view.values.rows;
    for (std::int64_t first = 0; first < rows; first += rows_) {
      view.first_position = first;
      view.values.rows = std::min(rows_, rows - first);
      std::fill_n(owner_.begin(), view.values.rows * width_, -1);
      for (std::size_t i = 0; i < edits_.size(); ++i) add(static_cast<std::int32_t>(i), view);
    }
  }

 private:
  void add(std::int32_t number, const SiteView& view) {
    const Chosen& edit = *edits_[static_cast<std::size_t>(number)];
    edit.selector->select(view, [&](std::int64_t position, auto dimensions) {
      const std::int64_t r = position - view.first_position;
      require(r < view.values.rows, edit.where, "expected ids of all rows, the sink's included");
      std::int32_t* row = owner_.data() + r * width_;
      for (const std::int64_t d : dimensions) {
        require(d >= 0 && d < width_, edit.where, "expected a dimension below {}, got {}", width_,
                d);
        if (row[d] >= 0) {
          fail_usage(edit.where,
                     "contradicts {}: both change dimension {} at position {} of sequence {} at {}",
                     edits_[static_cast<std::size_t>(row[d])]->where, d, position, view.sequence,
                     name_of(view.site));
        }
        row[d] = number;
      }
    });
  }

  const Edits& edits_;
  std::int64_t width_;
  std::int64_t rows_;
  std::vector<std::int32_t> owner_;
};

}  // namespace

void require_no_contradiction(const std::vector<Chosen>& chosen,
                              const std::vector<Plan::Tokens>& sequences,
                              const ModelConfig& config) {
  std::map<Site, Edits> by_site;
  for (const Chosen& edit : chosen) by_site[edit.site].push_back(&edit);
  std::set<std::pair<std::int64_t, std::vector<const Selector*>>> seen;  // width, selectors
  for (const auto& [site, edits] : by_site) {
    if (edits.size() < 2) continue;
    const std::int64_t width = site_width(site.kind, config);
    std::vector<const Selector*> selectors;
    for (const Chosen* edit : edits) selectors.push_back(edit->selector.get());
    if (!seen.insert({width, std::move(selectors)}).second) continue;
    Owners owners(edits, width);
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      owners.check(rows_of(site, sequences[s], s, config));
    }
  }
}

void require_matches(const std::vector<Chosen>& chosen, const std::vector<Plan::Tokens>& sequences,
                     const ModelConfig& config) {
  std::set<const Selector*> seen;
  for (const Chosen& edit : chosen) {
    if (!seen.insert(edit.selector.get()).second) continue;
    bool matches = false;
    for (std::size_t s = 0; s < sequences.size() && !matches; ++s) {
      edit.selector->select(
          rows_of(edit.site, sequences[s], s, config),
          [&](std::int64_t, auto dimensions) { matches = matches || !dimensions.empty(); });
    }
    if (!matches) {
      fail_usage(edit.where, "the edit ({} at {}) matched nothing in any sequence",
                 edit.selector->description(), name_of(edit.site));
    }
  }
}

void require_means(const Chosen& chosen, const Change& mean,
                   const std::vector<Plan::Tokens>& sequences, const ModelConfig& config) {
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const SiteView view = rows_of(chosen.site, sequences[s], s, config);
    chosen.selector->select(view, [&](std::int64_t position, auto dimensions) {
      for (const std::int64_t d : dimensions) {
        (void)mean.apply(0.0f, {view.site, view.sequence, position, d});
      }
    });
  }
}

}  // namespace massact::edit
