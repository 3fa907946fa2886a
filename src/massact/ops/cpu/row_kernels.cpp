#include "massact/ops/cpu/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "massact/ops/cpu/features.h"  // its cap is applied before the first dispatch

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "massact/ops/cpu/row_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/cache_control.h>
#include <hwy/contrib/math/math-inl.h>  // after highway.h

HWY_BEFORE_NAMESPACE();
namespace massact::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
using DD = hn::ScalableTag<double>;
using HalfD = hn::Rebind<float, DD>;  // as many floats as a vector of doubles has lanes

HWY_INLINE std::int64_t float_lanes() { return static_cast<std::int64_t>(hn::Lanes(D())); }

// Calls body(i, count) over [0, cols) in steps of a vector; count < lanes for the last one.
template <class Body>
HWY_INLINE void for_vectors(std::int64_t cols, const Body& body) {
  const std::int64_t lanes = float_lanes();
  std::int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) body(i, lanes);
  if (i < cols) body(i, cols - i);
}

HWY_INLINE V load(const float* p, std::int64_t count) {
  const D d;
  if (count == float_lanes()) return hn::LoadU(d, p);
  HWY_ALIGN float buffer[hn::MaxLanes(D())] = {};
  std::copy_n(p, count, buffer);
  return hn::Load(d, buffer);
}

HWY_INLINE void store(V v, float* p, std::int64_t count) {
  const D d;
  if (count == float_lanes()) return hn::StoreU(v, d, p);
  HWY_ALIGN float buffer[hn::MaxLanes(D())];
  hn::Store(v, d, buffer);
  std::copy_n(buffer, count, p);
}

// ---- norm ----

// Σ term(x[i]) in double, four partial sums per lane.
template <class Term, class ScalarTerm>
HWY_INLINE double sum_of(const float* x, std::int64_t cols, const Term& term,
                         const ScalarTerm& scalar_term) {
  const DD dd;
  const HalfD dh;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  auto s0 = hn::Zero(dd), s1 = s0, s2 = s0, s3 = s0;
  const auto at = [&](std::int64_t i)
                      HWY_ATTR { return term(hn::PromoteTo(dd, hn::LoadU(dh, x + i))); };
  std::int64_t i = 0;
  for (; i + 4 * lanes <= cols; i += 4 * lanes) {
    s0 = hn::Add(s0, at(i));
    s1 = hn::Add(s1, at(i + lanes));
    s2 = hn::Add(s2, at(i + 2 * lanes));
    s3 = hn::Add(s3, at(i + 3 * lanes));
  }
  for (; i + lanes <= cols; i += lanes) s0 = hn::Add(s0, at(i));
  const auto total = hn::SumOfLanes(dd, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
  double sum = hn::GetLane(total);
  for (; i < cols; ++i) sum += scalar_term(x[i]);
  return sum;
}

RowScale RowScaleOf(const float* x, std::int64_t cols, const NormOptions& options) {
  RowScale result;
  const auto count = static_cast<double>(cols);
  if (options.subtract_mean) {
    result.mean = sum_of(
                      x, cols, [](auto v) HWY_ATTR { return v; }, [](double v) { return v; }) /
                  count;
  }
  const double mean = result.mean;
  const auto mean_v = hn::Set(DD(), mean);
  const double squares = sum_of(
      x, cols,
      [&](auto v) HWY_ATTR {
        const auto centred = hn::Sub(v, mean_v);
        return hn::Mul(centred, centred);
      },
      [&](double v) { return (v - mean) * (v - mean); });
  result.scale = std::sqrt(squares / count + static_cast<double>(options.eps));
  return result;
}

void NormRow(const float* x, std::int64_t cols, const RowScale& scale, const NormOptions& options,
             float* normalized, float* out) {
  const D d;
  // (x - mean) / scale with the mean split in two floats, so that a large mean costs no digits.
  const auto mean_high = static_cast<float>(scale.mean);
  const V high = hn::Set(d, mean_high);
  const V low = hn::Set(d, static_cast<float>(scale.mean - static_cast<double>(mean_high)));
  const V inverse = hn::Set(d, static_cast<float>(1.0 / scale.scale));
  const V offset = hn::Set(d, options.weight_offset);
  const float* weight = options.weight.empty() ? nullptr : options.weight.data();
  const float* bias = options.bias.empty() ? nullptr : options.bias.data();
  for_vectors(cols, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    V v = hn::Mul(hn::Sub(hn::Sub(load(x + i, count), high), low), inverse);
    if (normalized != nullptr) store(v, normalized + i, count);
    if (weight != nullptr) v = hn::Mul(v, hn::Add(load(weight + i, count), offset));
    if (bias != nullptr) v = hn::Add(v, load(bias + i, count));
    store(v, out + i, count);
  });
}

// ---- activations ----

// x σ(a); zero where exp(-a) would overflow.
HWY_INLINE V times_sigmoid(V x, V a) {
  const D d;
  const V limit = hn::Set(d, -87.0f);
  const V e = hn::Exp(d, hn::Neg(hn::Max(a, limit)));
  return hn::IfThenZeroElse(hn::Lt(a, limit), hn::Div(x, hn::Add(hn::Set(d, 1.0f), e)));
}

// x Φ(x) with Φ(-|x|) = exp(-z²) t P(t), z = |x|/√2, t = 1/(1 + 0.35 z); P is our own minimax fit
// of erfcx(z)/(2t) on 0 <= z <= 10 (relative error 8e-9).
HWY_INLINE V gelu(V x) {
  const D d;
  constexpr float kP[] = {9.874188321e-02f,  9.856929254e-02f, 9.395025176e-02f,  7.559748614e-02f,
                          7.300847969e-02f,  4.353272256e-02f, -1.388072442e-02f, 9.075141743e-02f,
                          -7.947294479e-02f, 1.920213944e-02f};
  const V z = hn::Mul(hn::Abs(x), hn::Set(d, 0.70710678f));
  const V one = hn::Set(d, 1.0f);
  const V t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.35f), z, one));
  V p = hn::Set(d, kP[9]);
  for (int i = 8; i >= 0; --i) p = hn::MulAdd(p, t, hn::Set(d, kP[i]));
  const V tail = hn::Mul(hn::Exp(d, hn::Neg(hn::Mul(z, z))), hn::Mul(p, t));
  const V small = hn::Mul(x, tail);
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Sub(x, small), small);
}

HWY_INLINE V apply(V x, Activation f) {
  const D d;
  switch (f) {
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh: {
      // (1 + tanh u) / 2 = σ(2u)
      const V cubic = hn::MulAdd(hn::Set(d, 0.044715f), hn::Mul(x, x), hn::Set(d, 1.0f));
      return times_sigmoid(x, hn::Mul(hn::Mul(hn::Set(d, 1.5957691216f), x), cubic));
    }
    case Activation::quick_gelu:
      return times_sigmoid(x, hn::Mul(x, hn::Set(d, 1.702f)));
    case Activation::silu:
      return times_sigmoid(x, x);
    // Written so that NaN stays NaN.
    case Activation::relu:
      return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    case Activation::relu_squared: {
      const V positive = hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
      return hn::Mul(positive, positive);
    }
  }
  return x;
}

// The switch over f is outside of the loop.
template <class Body>
HWY_INLINE void for_activation(Activation f, const Body& body) {
  switch (f) {
    case Activation::gelu:
      return body([](V x) HWY_ATTR { return apply(x, Activation::gelu); });
    case Activation::gelu_tanh:
      return body([](V x) HWY_ATTR { return apply(x, Activation::gelu_tanh); });
    case Activation::quick_gelu:
      return body([](V x) HWY_ATTR { return apply(x, Activation::quick_gelu); });
    case Activation::silu:
      return body([](V x) HWY_ATTR { return apply(x, Activation::silu); });
    case Activation::relu:
      return body([](V x) HWY_ATTR { return apply(x, Activation::relu); });
    case Activation::relu_squared:
      return body([](V x) HWY_ATTR { return apply(x, Activation::relu_squared); });
  }
}

void ActivateRow(const float* x, std::int64_t cols, Activation f, float* out) {
  for_activation(f, [&](const auto& function) HWY_ATTR {
    for_vectors(cols, [&](std::int64_t i, std::int64_t count)
                          HWY_ATTR { store(function(load(x + i, count)), out + i, count); });
  });
}

void ActivateGatedRow(const float* gate, const float* up, std::int64_t cols, Activation f,
                      float* out) {
  for_activation(f, [&](const auto& function) HWY_ATTR {
    for_vectors(cols, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
      store(hn::Mul(function(load(gate + i, count)), load(up + i, count)), out + i, count);
    });
  });
}

void AddRow(const float* a, const float* b, std::int64_t cols, float* out) {
  for_vectors(cols, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    store(hn::Add(load(a + i, count), load(b + i, count)), out + i, count);
  });
}

// ---- finishing a product ----

// What a row's results are combined with, at its first column; null: not there.
struct RowOperands {
  const float* bias;
  const float* scale;
  const float* residual;
};

// One row: out = f(x + bias) * scale + residual.
template <class Function>
HWY_INLINE void finish_row(const float* x, const RowOperands& with, std::int64_t cols, bool stream,
                           float* out, const Function& f) {
  const D d;
  for_vectors(cols, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    V v = load(x + i, count);
    if (with.bias != nullptr) v = hn::Add(v, load(with.bias + i, count));
    v = f(v);
    if (with.scale != nullptr) v = hn::Mul(v, load(with.scale + i, count));
    if (with.residual != nullptr) v = hn::Add(load(with.residual + i, count), v);
    if (stream && count == float_lanes()) {
      hn::Stream(v, d, out + i);
    } else {
      store(v, out + i, count);
    }
  });
}

template <class Function>
HWY_INLINE void finish_rows(const ProductBlock& block, const MatmulOptions& options, FloatMatrix y,
                            const Function& f) {
  const auto columns = [&](std::span<const float> values) {
    return values.empty() ? nullptr : values.data() + block.first_column;
  };
  RowOperands with = {columns(options.bias), columns(options.scale), nullptr};
  const bool adds = options.residual.data != nullptr;
  const std::size_t vector_bytes = hn::Lanes(D()) * sizeof(float);
  const auto place = reinterpret_cast<std::uintptr_t>(y.row(block.first_row) + block.first_column);
  const auto step = static_cast<std::size_t>(y.stride) * sizeof(float);
  const bool stream = block.stream && !adds && (place | step) % vector_bytes == 0;
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const std::int64_t row = block.first_row + r;
    if (adds) with.residual = options.residual.row(row) + block.first_column;
    finish_row(block.values + r * block.stride, with, block.columns, stream,
               y.row(row) + block.first_column, f);
  }
  if (stream) hwy::FlushStream();  // before other threads are told that the block is there
}

void FinishProduct(const ProductBlock& block, const MatmulOptions& options, FloatMatrix y) {
  if (!options.activation) {
    return finish_rows(block, options, y, [](V x) HWY_ATTR { return x; });
  }
  for_activation(*options.activation,
                 [&](const auto& f) HWY_ATTR { finish_rows(block, options, y, f); });
}

// ---- reductions ----

std::int64_t FindNonFinite(const float* x, std::int64_t cols) {
  const D d;
  const hn::RebindToUnsigned<D> du;
  const auto exponent = hn::Set(du, 0x7f800000u);
  const std::int64_t lanes = float_lanes();
  std::int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(d, x + i));
    if (!hn::AllFalse(du, hn::Eq(hn::And(bits, exponent), exponent))) break;
  }
  for (; i < cols; ++i) {
    if (!std::isfinite(x[i])) return i;
  }
  return -1;
}

HWY_INLINE float max_of_row(const float* x, std::int64_t cols) {
  const D d;
  const std::int64_t lanes = float_lanes();
  V max = hn::Set(d, -std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) max = hn::Max(max, hn::LoadU(d, x + i));
  float result = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; i < cols; ++i) result = std::max(result, x[i]);
  return result;
}

double LogSumExpRow(const float* x, std::int64_t cols) {
  const D d;
  const DD dd;
  const HalfD dh;
  const float max = max_of_row(x, cols);
  if (!std::isfinite(max)) return static_cast<double>(max);
  const V max_v = hn::Set(d, max);
  const std::int64_t lanes = float_lanes();
  const auto half = static_cast<std::size_t>(hn::Lanes(dd));
  HWY_ALIGN float terms[hn::MaxLanes(D())];
  auto sums = hn::Zero(dd);
  std::int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) {
    hn::Store(hn::Exp(d, hn::Sub(hn::LoadU(d, x + i), max_v)), d, terms);
    for (std::size_t j = 0; j < hn::Lanes(d); j += half) {
      sums = hn::Add(sums, hn::PromoteTo(dd, hn::Load(dh, terms + j)));
    }
  }
  double sum = hn::GetLane(hn::SumOfLanes(dd, sums));
  for (; i < cols; ++i) sum += std::exp(static_cast<double>(x[i]) - static_cast<double>(max));
  return static_cast<double>(max) + std::log(sum);
}

std::int64_t ArgMaxRow(const float* x, std::int64_t cols) {
  const float max = max_of_row(x, cols);
  const auto* found = std::find(x, x + cols, max);
  return found == x + cols ? 0 : found - x;  // all NaN
}

// ---- rotary ----

void RotateHalves(float* a, float* b, const float* cos, const float* sin, std::int64_t pairs) {
  for_vectors(pairs, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const V x = load(a + i, count), y = load(b + i, count);
    const V c = load(cos + i, count), s = load(sin + i, count);
    store(hn::NegMulAdd(y, s, hn::Mul(x, c)), a + i, count);
    store(hn::MulAdd(x, s, hn::Mul(y, c)), b + i, count);
  });
}

void RotateInterleaved(float* x, const float* cos, const float* sin, std::int64_t pairs) {
  const D d;
  const std::int64_t lanes = float_lanes();
  std::int64_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    V even, odd;
    hn::LoadInterleaved2(d, x + 2 * i, even, odd);
    const V c = hn::LoadU(d, cos + i), s = hn::LoadU(d, sin + i);
    const V rotated_even = hn::NegMulAdd(odd, s, hn::Mul(even, c));
    const V rotated_odd = hn::MulAdd(even, s, hn::Mul(odd, c));
    hn::StoreInterleaved2(rotated_even, rotated_odd, d, x + 2 * i);
  }
  for (; i < pairs; ++i) {
    const float even = x[2 * i], odd = x[2 * i + 1];
    x[2 * i] = even * cos[i] - odd * sin[i];
    x[2 * i + 1] = even * sin[i] + odd * cos[i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace massact::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace massact::ops::cpu {

HWY_EXPORT(RowScaleOf);
HWY_EXPORT(NormRow);
HWY_EXPORT(ActivateRow);
HWY_EXPORT(ActivateGatedRow);
HWY_EXPORT(AddRow);
HWY_EXPORT(FinishProduct);
HWY_EXPORT(FindNonFinite);
HWY_EXPORT(LogSumExpRow);
HWY_EXPORT(ArgMaxRow);
HWY_EXPORT(RotateHalves);
HWY_EXPORT(RotateInterleaved);

RowScale row_scale(const float* x, std::int64_t cols, const NormOptions& options) {
  return HWY_DYNAMIC_DISPATCH(RowScaleOf)(x, cols, options);
}

void norm_row(const float* x, std::int64_t cols, const RowScale& scale, const NormOptions& options,
              float* normalized, float* out) {
  HWY_DYNAMIC_DISPATCH(NormRow)(x, cols, scale, options, normalized, out);
}

void activate_row(const float* x, std::int64_t cols, Activation f, float* out) {
  HWY_DYNAMIC_DISPATCH(ActivateRow)(x, cols, f, out);
}

void activate_gated_row(const float* gate, const float* up, std::int64_t cols, Activation f,
                        float* out) {
  HWY_DYNAMIC_DISPATCH(ActivateGatedRow)(gate, up, cols, f, out);
}

void add_row(const float* a, const float* b, std::int64_t cols, float* out) {
  HWY_DYNAMIC_DISPATCH(AddRow)(a, b, cols, out);
}

void finish_product(const ProductBlock& block, const MatmulOptions& options, FloatMatrix y) {
  HWY_DYNAMIC_DISPATCH(FinishProduct)(block, options, y);
}

void norm_rows(ConstFloatMatrix x, std::int64_t first, std::int64_t count,
               const NormOptions& options, float* out) {
  for (std::int64_t r = 0; r < count; ++r) {
    const float* row = x.row(first + r);
    norm_row(row, x.cols, row_scale(row, x.cols, options), options, nullptr, out + r * x.cols);
  }
}

std::int64_t find_non_finite_in_row(const float* x, std::int64_t cols) {
  return HWY_DYNAMIC_DISPATCH(FindNonFinite)(x, cols);
}

double log_sum_exp_row(const float* x, std::int64_t cols) {
  return HWY_DYNAMIC_DISPATCH(LogSumExpRow)(x, cols);
}

std::int64_t arg_max_row(const float* x, std::int64_t cols) {
  return HWY_DYNAMIC_DISPATCH(ArgMaxRow)(x, cols);
}

void rotate_halves(float* a, float* b, const float* cos, const float* sin, std::int64_t pairs) {
  HWY_DYNAMIC_DISPATCH(RotateHalves)(a, b, cos, sin, pairs);
}

void rotate_interleaved(float* x, const float* cos, const float* sin, std::int64_t pairs) {
  HWY_DYNAMIC_DISPATCH(RotateInterleaved)(x, cos, sin, pairs);
}

}  // namespace massact::ops::cpu
#endif
