#include "massact/ops/ref/ops.h"

#include <algorithm>
#include <cmath>

namespace massact::ops::ref {

void matmul(ConstFloatMatrix x, ConstFloatMatrix w, FloatMatrix y) {
  for (std::int64_t m = 0; m < x.rows; ++m) {
    for (std::int64_t n = 0; n < w.rows; ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < x.cols; ++k) sum += static_cast<double>(x(m, k)) * w(n, k);
      y(m, n) = static_cast<float>(sum);
    }
  }
}

namespace {

double affine(double normalized, const NormOptions& options, std::int64_t c) {
  const auto i = static_cast<std::size_t>(c);
  if (!options.weight.empty()) {
    normalized *= static_cast<double>(options.weight[i]) + options.weight_offset;
  }
  return options.bias.empty() ? normalized : normalized + options.bias[i];
}

}  // namespace

void norm(ConstFloatMatrix x, const NormOptions& options, const NormOutputs& outputs) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    double mean = 0, square = 0;
    if (options.subtract_mean) {
      for (std::int64_t c = 0; c < x.cols; ++c) mean += x(r, c);
      mean /= static_cast<double>(x.cols);
    }
    for (std::int64_t c = 0; c < x.cols; ++c) square += (x(r, c) - mean) * (x(r, c) - mean);
    const double scale = std::sqrt(square / static_cast<double>(x.cols) + options.eps);
    if (outputs.scale != nullptr) outputs.scale[r] = static_cast<float>(scale);
    for (std::int64_t c = 0; c < x.cols; ++c) {
      const double normalized = (x(r, c) - mean) / scale;
      if (outputs.normalized.data != nullptr) {
        outputs.normalized(r, c) = static_cast<float>(normalized);
      }
      outputs.out(r, c) = static_cast<float>(affine(normalized, options, c));
    }
  }
}

void norm_affine(ConstFloatMatrix normalized, const NormOptions& options, FloatMatrix out) {
  for (std::int64_t r = 0; r < normalized.rows; ++r) {
    for (std::int64_t c = 0; c < normalized.cols; ++c) {
      out(r, c) = static_cast<float>(affine(normalized(r, c), options, c));
    }
  }
}

void rope(FloatMatrix x, std::int64_t heads, std::int64_t head_size, const RopeTable& table,
          RopeStyle style, std::int64_t first_position) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t h = 0; h < heads; ++h) {
      float* head = x.row(t) + h * head_size;
      for (std::int64_t i = 0; i < table.pairs; ++i) {
        const std::int64_t angle = (first_position + t) * table.pairs + i;
        const double cos = table.cos[angle], sin = table.sin[angle];
        float& a = head[style == RopeStyle::half ? i : 2 * i];
        float& b = head[style == RopeStyle::half ? i + table.pairs : 2 * i + 1];
        const double a_before = a, b_before = b;
        a = static_cast<float>(a_before * cos - b_before * sin);
        b = static_cast<float>(a_before * sin + b_before * cos);
      }
    }
  }
}

double activate(double x, Activation f) {
  const double pi = std::acos(-1.0);
  switch (f) {
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::relu:
      return x > 0 ? x : 0.0 * x;  // NaN stays NaN
    case Activation::relu_squared:
      return x > 0 ? x * x : 0.0 * x;
  }
  return x;
}

void activate(ConstFloatMatrix x, Activation f, FloatMatrix out) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t c = 0; c < x.cols; ++c) out(r, c) = static_cast<float>(activate(x(r, c), f));
  }
}

void activate_gated(ConstFloatMatrix gate, ConstFloatMatrix up, Activation f, FloatMatrix out) {
  for (std::int64_t r = 0; r < gate.rows; ++r) {
    for (std::int64_t c = 0; c < gate.cols; ++c) {
      out(r, c) = static_cast<float>(activate(gate(r, c), f) * up(r, c));
    }
  }
}

void log_sum_exp(ConstFloatMatrix logits, std::span<double> out) {
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    const float* row = logits.row(r);
    const double max = *std::max_element(row, row + logits.cols);
    double sum = 0;
    for (std::int64_t c = 0; c < logits.cols; ++c) sum += std::exp(row[c] - max);
    out[static_cast<std::size_t>(r)] = std::isfinite(max) ? max + std::log(sum) : max;
  }
}

void arg_max(ConstFloatMatrix logits, std::span<std::int32_t> out) {
  for (std::int64_t r = 0; r < logits.rows; ++r) {
    const float* row = logits.row(r);
    out[static_cast<std::size_t>(r)] =
        static_cast<std::int32_t>(std::max_element(row, row + logits.cols) - row);
  }
}

}  // namespace massact::ops::ref
