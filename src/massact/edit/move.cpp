#include "massact/edit/move.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "massact/base/error.h"

namespace massact::edit {
namespace {

class MoveToAdded final : public Edit {
 public:
  MoveToAdded(std::shared_ptr<const Selector> selector, Strongest strongest,
              std::int64_t prefix_rows)
      : selector_(std::move(selector)), strongest_(strongest), prefix_rows_(prefix_rows) {}

  std::int64_t apply(const SiteView& view) override {
    const std::int64_t first_added = first_added_row(view);
    const std::int64_t first = first_position_of(view, prefix_rows_);
    std::map<std::int64_t, float> strongest;  // by dimension
    std::int64_t set = 0;
    selector_->select(view, [&](std::int64_t position, std::span<const std::int64_t> dimensions) {
      if (position - first >= first_added) return;
      float* row = view.values.row(position - first);
      for (const std::int64_t d : dimensions) {
        require(d < view.values.cols, name_of(view.site), "expected a dimension below {}, got {}",
                view.values.cols, d);
        const auto [at, is_new] = strongest.emplace(d, row[d]);
        if (!is_new && stronger(row[d], at->second)) at->second = row[d];
        row[d] = 0.0f;
        ++set;
      }
    });
    for (std::int64_t r = first_added; r < view.values.rows; ++r) {
      for (const auto& [d, value] : strongest) view.values(r, d) = value;
    }
    return set + std::ssize(strongest) * (view.values.rows - first_added);
  }

  std::string description() const override {
    return fmt::format("move to the added token ({})", selector_->description());
  }

 private:
  static std::int64_t first_added_row(const SiteView& view) {
    const auto at = std::find(view.tokens.begin(), view.tokens.end(), kAddedToken);
    require(at != view.tokens.end() && view.values.rows == std::ssize(view.tokens),
            name_of(view.site), "expected a variant that adds tokens (`added_tokens`) to move to");
    return at - view.tokens.begin();
  }
  bool stronger(float a, float b) const {
    return strongest_ == Strongest::maximum ? a > b : std::abs(a) > std::abs(b);
  }

  std::shared_ptr<const Selector> selector_;
  Strongest strongest_;
  std::int64_t prefix_rows_;
};

}  // namespace

Strongest strongest_of(const ModelConfig& config) {
  return config.gated_mlp ? Strongest::magnitude : Strongest::maximum;
}

std::unique_ptr<Edit> move_to_added(std::shared_ptr<const Selector> selector, Strongest strongest,
                                    std::int64_t prefix_rows) {
  return std::make_unique<MoveToAdded>(std::move(selector), strongest, prefix_rows);
}

}  // namespace massact::edit
