#include "massact/edit/edits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/error.h"
#include "massact/edit/random.h"

namespace massact::edit {
namespace {

class ScalarEdit final : public Edit {
 public:
  ScalarEdit(std::shared_ptr<const Selector> selector, Change change, std::int64_t prefix_rows)
      : selector_(std::move(selector)), change_(std::move(change)), prefix_rows_(prefix_rows) {}

  std::int64_t apply(const SiteView& view) override {
    const std::int64_t first = first_position_of(view, prefix_rows_);
    std::int64_t count = 0;
    selector_->select(view, [&](std::int64_t position, std::span<const std::int64_t> dimensions) {
      float* row = view.values.row(position - first);
      for (const std::int64_t d : dimensions) {
        require(d < view.values.cols, name_of(view.site), "expected a dimension below {}, got {}",
                view.values.cols, d);
        row[d] = change_.apply(row[d], {view.site, view.sequence, position, d});
      }
      count += std::ssize(dimensions);
    });
    return count;
  }

  std::string description() const override {
    return fmt::format("{} ({})", change_.name, selector_->description());
  }

 private:
  std::shared_ptr<const Selector> selector_;
  Change change_;
  std::int64_t prefix_rows_;
};

class Quantise final : public Edit {
 public:
  Quantise(Quantisation options, std::int64_t prefix_rows)
      : options_(std::move(options)), prefix_rows_(prefix_rows) {
    if (options_.means) mean_ = mean(options_.means, options_.labels);
  }

  std::int64_t apply(const SiteView& view) override {
    take_apart(view);
    const FloatMatrix x = view.values;
    if (options_.per_token) {
      for (std::int64_t r = 0; r < x.rows; ++r) round_rows(x.slice_rows(r, 1));
    } else {
      round_rows(x);
    }
    for (const auto& [at, value] : apart_) x(at.position, at.dimension) = value;
    return x.rows * x.cols;
  }

  std::string description() const override {
    std::string text = fmt::format("quantise to {} bits per {}", options_.bits,
                                   options_.per_token ? "token" : "tensor");
    if (options_.apart) {
      text += fmt::format(" ({} {})", options_.apart->description(),
                          options_.means ? "set to their mean" : "kept");
    }
    return text;
  }

 private:
  // Remembers what the scalars apart shall be and puts 0 in their places: 0 sets no step.
  void take_apart(const SiteView& view) {
    apart_.clear();
    if (!options_.apart) return;
    const std::int64_t first = first_position_of(view, prefix_rows_);
    options_.apart->select(view, [&](std::int64_t position, auto dimensions) {
      for (const std::int64_t d : dimensions) {
        float& value = view.values(position - first, d);
        const float kept =
            options_.means ? mean_.apply(value, {view.site, view.sequence, position, d}) : value;
        apart_.emplace_back(Scalar{position - first, d}, kept);
        value = 0.0f;
      }
    });
  }

  void round_rows(FloatMatrix x) const {
    float largest = 0.0f;
    for (std::int64_t r = 0; r < x.rows; ++r) {
      for (std::int64_t c = 0; c < x.cols; ++c) largest = std::max(largest, std::abs(x(r, c)));
    }
    if (largest == 0.0f) return;
    const float step = largest / static_cast<float>((1 << (options_.bits - 1)) - 1);
    for (std::int64_t r = 0; r < x.rows; ++r) {
      for (std::int64_t c = 0; c < x.cols; ++c) x(r, c) = step * std::nearbyint(x(r, c) / step);
    }
  }

  Quantisation options_;
  std::int64_t prefix_rows_;
  Change mean_;
  std::vector<std::pair<Scalar, float>> apart_;  // rows of the view
};

}  // namespace

Change zero() {
  return {"zero", [](float, const Place&) { return 0.0f; }};
}

Change set(float value) {
  return {fmt::format("set {}", value), [value](float, const Place&) { return value; }};
}

Change scale(float factor) {
  return {fmt::format("scale {}", factor),
          [factor](float value, const Place&) { return factor * value; }};
}

Change clamp(float limit) {
  return {fmt::format("clamp {}", limit),
          [limit](float value, const Place&) { return std::clamp(value, -limit, limit); }};
}

Change noise(double sigma, bool relative, std::uint64_t seed) {
  return {
      fmt::format("noise {}{}", sigma, relative ? " relative" : ""),
      [=](float value, const Place& place) {
        const std::uint64_t hash =
            mix(seed, static_cast<std::uint64_t>(place.site.kind), place.site.block, place.sequence,
                place.position, place.dimension);
        const double scale = relative ? std::abs(static_cast<double>(value)) : 1.0;
        return static_cast<float>(static_cast<double>(value) + sigma * scale * normal_from(hash));
      }};
}

void Means::add(const std::string& position_class, std::int64_t dimension, double value) {
  Entry& entry = entries_[{position_class, dimension}];
  ++entry.n;
  entry.mean += (value - entry.mean) / static_cast<double>(entry.n);
}

const Means::Entry* Means::find(std::string_view position_class, std::int64_t dimension) const {
  const auto it = entries_.find({std::string(position_class), dimension});
  return it == entries_.end() ? nullptr : &it->second;
}

Change mean(std::shared_ptr<const Means> means, std::shared_ptr<const PositionLabels> labels) {
  return {"mean", [means = std::move(means), labels = std::move(labels)](float, const Place& at) {
            const auto position_class = labels->position_class(at.sequence, at.position);
            const Means::Entry* entry = means->find(position_class, at.dimension);
            require(entry != nullptr, "mean",
                    "expected a mean of dimension {} at {} tokens (sequence {}, position {}), but "
                    "it met the rule nowhere in the calibration sequences (calibrate on more text: "
                    "--calibration, --sequences)",
                    at.dimension, position_class, at.sequence, at.position);
            return static_cast<float>(entry->mean);
          }};
}

std::unique_ptr<Edit> edit_scalars(std::shared_ptr<const Selector> selector, Change change,
                                   std::int64_t prefix_rows) {
  return std::make_unique<ScalarEdit>(std::move(selector), std::move(change), prefix_rows);
}

std::unique_ptr<Edit> quantise(Quantisation options, std::int64_t prefix_rows) {
  if (options.bits != 8 && options.bits != 4) {
    fail_usage("quantise", "expected 8 or 4 bits, got {}", options.bits);
  }
  return std::make_unique<Quantise>(std::move(options), prefix_rows);
}

}  // namespace massact::edit
