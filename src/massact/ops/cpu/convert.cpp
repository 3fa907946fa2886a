#include "massact/ops/cpu/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "massact/ops/cpu/features.h"  // its cap is applied before the first dispatch
#include "massact/tensor/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "massact/ops/cpu/convert.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace massact::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::ScalableTag<float>;
using U32 = hn::ScalableTag<std::uint32_t>;
using U16 = hn::Rebind<std::uint16_t, U32>;

// The rounded value's bits, in the upper half of each lane (the lower half is garbage).
template <class V>
HWY_INLINE hn::Vec<U32> rounded_bits(V x) {
  const U32 du;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu)));
  const auto quieted = hn::Or(bits, hn::Set(du, 0x400000u));
  return hn::IfThenElse(hn::RebindMask(du, hn::Ne(x, x)), quieted, rounded);
}

void ToBFloat16(const float* HWY_RESTRICT x, std::int64_t count, std::uint16_t* HWY_RESTRICT out) {
  const D32 d;
  const U16 d16;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto upper = hn::ShiftRight<16>(rounded_bits(hn::LoadU(d, x + i)));
    hn::StoreU(hn::TruncateTo(d16, upper), d16, out + i);
  }
  for (; i < count; ++i) out[i] = massact::to_bfloat16(x[i]).bits;
}

void RoundToBFloat16(const float* x, std::int64_t count, float* out) {
  const D32 d;
  const U32 du;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto bits = hn::And(rounded_bits(hn::LoadU(d, x + i)), hn::Set(du, 0xffff0000u));
    hn::StoreU(hn::BitCast(d, bits), d, out + i);
  }
  for (; i < count; ++i) out[i] = to_float(massact::to_bfloat16(x[i]));
}

// 16-bit values without alignment; the last vector is filled up with zeros.
template <class Convert>
HWY_INLINE void from_16_bits(const std::byte* x, std::int64_t count, float* HWY_RESTRICT out,
                             const Convert& convert) {
  const D32 d;
  const U16 d16;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  HWY_ALIGN std::uint16_t bits[hn::MaxLanes(D32())] = {};
  HWY_ALIGN float floats[hn::MaxLanes(D32())];
  for (std::int64_t i = 0; i < count; i += lanes) {
    const auto n = static_cast<std::size_t>(std::min(lanes, count - i));
    std::memcpy(bits, x + 2 * i, n * 2);
    const auto wide = convert(hn::Load(d16, bits));
    if (i + lanes <= count) {
      hn::StoreU(wide, d, out + i);
    } else {
      hn::Store(wide, d, floats);
      std::memcpy(out + i, floats, n * sizeof(float));
    }
  }
}

void FromBFloat16(const std::byte* x, std::int64_t count, float* out) {
  from_16_bits(x, count, out, [](auto half) HWY_ATTR {
    return hn::BitCast(D32(), hn::ShiftLeft<16>(hn::PromoteTo(U32(), half)));
  });
}

void FromFloat16(const std::byte* x, std::int64_t count, float* out) {
  from_16_bits(x, count, out, [](auto half) HWY_ATTR {
    return hn::PromoteTo(D32(), hn::BitCast(hn::Rebind<hwy::float16_t, D32>(), half));
  });
}

float Quantise(const float* x, std::int64_t count, std::int8_t* out) {
  const D32 d;
  const hn::RebindToSigned<D32> di;
  const hn::Rebind<std::int8_t, D32> d8;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto most = hn::Set(d, std::numeric_limits<float>::max());
  const float limit = std::numeric_limits<float>::max();
  auto max = hn::Zero(d), poison = hn::Zero(d);  // x - x is NaN for NaN and infinity, else 0
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    max = hn::Max(max, hn::Min(hn::Abs(v), most));
    poison = hn::Add(poison, hn::Sub(v, v));
  }
  float largest = hn::GetLane(hn::MaxOfLanes(d, max));
  float spoilt = hn::GetLane(hn::SumOfLanes(d, poison));
  for (; i < count; ++i) {
    largest = std::max(largest, std::min(std::abs(x[i]), limit));
    spoilt += x[i] - x[i];
  }
  const float scale = (largest > 0.0f ? largest / 127.0f : 1.0f) + spoilt;
  const auto divisor = hn::Set(d, scale);
  for (i = 0; i + lanes <= count; i += lanes) {
    const auto level = hn::NearestInt(hn::Div(hn::LoadU(d, x + i), divisor));
    const auto bound = hn::Min(hn::Max(level, hn::Set(di, -127)), hn::Set(di, 127));
    hn::StoreU(hn::DemoteTo(d8, bound), d8, out + i);
  }
  for (; i < count; ++i) {
    const float level = std::nearbyint(x[i] / scale);
    out[i] =
        static_cast<std::int8_t>(std::isnan(level) ? 0.0f : std::clamp(level, -127.0f, 127.0f));
  }
  return scale;
}

void Dequantise(const std::int32_t* x, std::int64_t count, float row_scale, const float* scales,
                float* out) {
  const D32 d;
  const hn::RebindToSigned<D32> di;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto row = hn::Set(d, row_scale);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto sum = hn::ConvertTo(d, hn::LoadU(di, x + i));
    hn::StoreU(hn::Mul(sum, hn::Mul(row, hn::LoadU(d, scales + i))), d, out + i);
  }
  for (; i < count; ++i) out[i] = static_cast<float>(x[i]) * (row_scale * scales[i]);
}

}  // namespace HWY_NAMESPACE
}  // namespace massact::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace massact::ops::cpu {

HWY_EXPORT(Quantise);
HWY_EXPORT(Dequantise);
HWY_EXPORT(ToBFloat16);
HWY_EXPORT(RoundToBFloat16);
HWY_EXPORT(FromBFloat16);
HWY_EXPORT(FromFloat16);

float quantise(const float* x, std::int64_t count, std::int8_t* out) {
  return HWY_DYNAMIC_DISPATCH(Quantise)(x, count, out);
}

void dequantise(const std::int32_t* x, std::int64_t count, float row_scale, const float* scales,
                float* out) {
  HWY_DYNAMIC_DISPATCH(Dequantise)(x, count, row_scale, scales, out);
}

void to_bfloat16(const float* x, std::int64_t count, std::uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(ToBFloat16)(x, count, out);
}

void round_to_bfloat16(const float* x, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(RoundToBFloat16)(x, count, out);
}

void from_bfloat16(const std::byte* x, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(FromBFloat16)(x, count, out);
}

void from_float16(const std::byte* x, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(FromFloat16)(x, count, out);
}

}  // namespace massact::ops::cpu
#endif
