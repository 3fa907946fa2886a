#include "massact/model/rope_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "massact/base/error.h"

namespace massact {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

std::vector<float> plain_frequencies(std::int64_t dims, double base) {
  std::vector<float> inverse(static_cast<std::size_t>(dims / 2));
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dims);
    inverse[i] = 1.0f / std::pow(static_cast<float>(base), exponent);
  }
  return inverse;
}

// Low frequencies are interpolated (divided by the factor), high ones kept, with a ramp between.
std::vector<float> yarn_frequencies(const RopeConfig& rope) {
  const auto dims = static_cast<double>(rope.dims);
  const auto correction = [&](double rotations) {
    return dims * std::log(static_cast<double>(rope.original_positions) / (rotations * kTwoPi)) /
           (2 * std::log(rope.base));
  };
  double low = correction(rope.beta_fast);
  double high = correction(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  std::vector<float> inverse = plain_frequencies(rope.dims, rope.base);
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double extrapolated = inverse[i];
    inverse[i] = static_cast<float>(extrapolated / rope.factor * ramp + extrapolated * (1 - ramp));
  }
  return inverse;
}

std::vector<float> llama3_frequencies(const RopeConfig& rope) {
  const auto original = static_cast<double>(rope.original_positions);
  std::vector<float> inverse = plain_frequencies(rope.dims, rope.base);
  for (float& frequency : inverse) {
    const double wavelength = kTwoPi / frequency;
    if (wavelength < original / rope.high_freq_factor) continue;
    const double scaled = frequency / rope.factor;
    if (wavelength > original / rope.low_freq_factor) {
      frequency = static_cast<float>(scaled);
      continue;
    }
    const double smooth = (original / wavelength - rope.low_freq_factor) /
                          (rope.high_freq_factor - rope.low_freq_factor);
    frequency = static_cast<float>((1 - smooth) * scaled + smooth * frequency);
  }
  return inverse;
}

double yarn_attention_factor(const JsonObject& scaling, double factor) {
  if (scaling.has("attention_factor")) return scaling.get<double>("attention_factor");
  const auto mscale_of = [&](double mscale) {
    return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
  };
  const double mscale = scaling.get_or<double>("mscale", 0);
  const double mscale_all = scaling.get_or<double>("mscale_all_dim", 0);
  if (mscale != 0 && mscale_all != 0) return mscale_of(mscale) / mscale_of(mscale_all);
  return mscale_of(1);
}

void read_yarn(const JsonObject& scaling, RopeConfig& rope) {
  rope.attention_factor = yarn_attention_factor(scaling, rope.factor);
  rope.beta_fast = scaling.get_or<double>("beta_fast", 32);
  rope.beta_slow = scaling.get_or<double>("beta_slow", 1);
  rope.truncate = scaling.get_or<bool>("truncate", true);
}

void read_llama3(const JsonObject& scaling, RopeConfig& rope) {
  rope.low_freq_factor = scaling.get<double>("low_freq_factor");
  rope.high_freq_factor = scaling.get<double>("high_freq_factor");
  require(rope.high_freq_factor > rope.low_freq_factor && rope.low_freq_factor > 0,
          scaling.where("high_freq_factor"), "expected more than low_freq_factor {}, got {}",
          rope.low_freq_factor, rope.high_freq_factor);
}

void read_longrope(const JsonObject& scaling, std::int64_t max_positions, RopeConfig& rope) {
  rope.short_factors = scaling.get<std::vector<double>>("short_factor");
  rope.long_factors = scaling.get<std::vector<double>>("long_factor");
  for (const auto* factors : {&rope.short_factors, &rope.long_factors}) {
    const auto* name = factors == &rope.short_factors ? "short_factor" : "long_factor";
    require(static_cast<std::int64_t>(factors->size()) == rope.dims / 2, scaling.where(name),
            "expected {} factors (half the rotary size), got {}", rope.dims / 2, factors->size());
  }
  // Phi-3 configurations give no factor: it is the growth of the context.
  if (!scaling.has("factor")) {
    rope.factor = static_cast<double>(max_positions) / static_cast<double>(rope.original_positions);
  }
  const double grown =
      rope.factor <= 1 ? 1.0
                       : std::sqrt(1 + std::log(rope.factor) /
                                           std::log(static_cast<double>(rope.original_positions)));
  rope.attention_factor = scaling.get_or<double>("attention_factor", grown);
}

RopeScaling parse_scaling(const JsonObject& scaling) {
  const std::string field = scaling.has("rope_type") ? "rope_type" : "type";
  const auto type = scaling.get_or<std::string>(field, "default");
  if (type == "default") return RopeScaling::none;
  if (type == "linear") return RopeScaling::linear;
  if (type == "dynamic") return RopeScaling::dynamic;
  if (type == "yarn") return RopeScaling::yarn;
  if (type == "llama3") return RopeScaling::llama3;
  if (type == "longrope" || type == "su") return RopeScaling::longrope;
  fail(scaling.where(field),
       "expected one of default, linear, dynamic, yarn, llama3, longrope, got '{}'", type);
}

void read_scaling(const JsonObject& config, const JsonObject& scaling, RopeConfig& rope) {
  rope.scaling = parse_scaling(scaling);
  if (rope.scaling == RopeScaling::none) return;
  const auto max_positions = config.get<std::int64_t>("max_position_embeddings");
  const auto original =
      config.get_or<std::int64_t>("original_max_position_embeddings", max_positions);
  rope.original_positions =
      scaling.get_or<std::int64_t>("original_max_position_embeddings", original);
  // HF's dynamic scaling starts from max_position_embeddings, whatever else the config says.
  if (rope.scaling == RopeScaling::dynamic) rope.original_positions = max_positions;
  require(rope.original_positions > 0, scaling.where("original_max_position_embeddings"),
          "expected a positive length, got {}", rope.original_positions);
  if (scaling.has("factor") || rope.scaling != RopeScaling::longrope) {
    rope.factor = scaling.get<double>("factor");
  }
  require(rope.factor > 0, scaling.where("factor"), "expected a positive number, got {}",
          rope.factor);
  if (rope.scaling == RopeScaling::yarn) read_yarn(scaling, rope);
  if (rope.scaling == RopeScaling::llama3) read_llama3(scaling, rope);
  if (rope.scaling == RopeScaling::longrope) read_longrope(scaling, max_positions, rope);
}

}  // namespace

std::vector<float> rope_frequencies(const RopeConfig& rope, std::int64_t positions) {
  switch (rope.scaling) {
    case RopeScaling::none:
      return plain_frequencies(rope.dims, rope.base);
    case RopeScaling::yarn:
      return yarn_frequencies(rope);
    case RopeScaling::llama3:
      return llama3_frequencies(rope);
    case RopeScaling::dynamic: {
      const auto original = static_cast<double>(rope.original_positions);
      const double length = std::max(static_cast<double>(positions), original);
      const auto dims = static_cast<double>(rope.dims);
      const double grown = rope.factor * length / original - (rope.factor - 1);
      return plain_frequencies(rope.dims, rope.base * std::pow(grown, dims / (dims - 2)));
    }
    case RopeScaling::linear: {
      auto inverse = plain_frequencies(rope.dims, rope.base);
      for (float& frequency : inverse) frequency /= static_cast<float>(rope.factor);
      return inverse;
    }
    case RopeScaling::longrope: {
      auto inverse = plain_frequencies(rope.dims, rope.base);
      const auto& factors =
          positions > rope.original_positions ? rope.long_factors : rope.short_factors;
      for (std::size_t i = 0; i < inverse.size(); ++i) {
        inverse[i] /= static_cast<float>(factors[i]);
      }
      return inverse;
    }
  }
  return {};
}

RopeConfig read_rope_parameters(const JsonObject& config, const JsonObject& parameters,
                                std::int64_t head_size, const RopeFields& fields) {
  RopeConfig rope;
  // New configurations hold both beside the scaling, under HF's common names.
  const RopeFields common;
  const bool inside = parameters.has(common.base);
  const JsonObject& source = inside ? parameters : config;
  const std::string_view base = inside ? common.base : fields.base;
  rope.base = source.get_or<double>(base, fields.default_base);
  require(rope.base > 1, source.where(base), "expected more than 1, got {}", rope.base);
  const double otherwise = parameters.get_or<double>(common.share, fields.default_share);
  const double share = config.get_or<double>(fields.share, otherwise);
  rope.dims = static_cast<std::int64_t>(static_cast<double>(head_size) * share);
  require(rope.dims > 0 && rope.dims <= head_size && rope.dims % 2 == 0, config.where(fields.share),
          "expected an even number of rotated dimensions from 2 to {}, got {}", head_size,
          rope.dims);
  if (parameters.has("rope_type") || parameters.has("type")) {
    read_scaling(config, parameters, rope);
  }
  return rope;
}

RopeConfig read_rope_config(const JsonObject& config, std::int64_t head_size,
                            const RopeFields& fields) {
  for (const char* field : {"rope_parameters", "rope_scaling"}) {
    if (config.has(field)) {
      return read_rope_parameters(config, config.object(field), head_size, fields);
    }
  }
  return read_rope_parameters(config, JsonObject(nlohmann::json::object(), config.where("")),
                              head_size, fields);
}

}  // namespace massact
