// exp for the softmax, in whichever instruction set includes this file.
#if defined(MASSACT_OPS_CPU_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MASSACT_OPS_CPU_EXP_INL_H_
#undef MASSACT_OPS_CPU_EXP_INL_H_
#else
#define MASSACT_OPS_CPU_EXP_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace massact::ops::cpu {
namespace HWY_NAMESPACE {

/// e^x for x <= 88, within 2 ulp; 0 below -87 (where f32 would turn subnormal), NaN for NaN:
/// unlike hwy::Exp, which hides it.
template <class D, class V>
HWY_INLINE V exp_nonpositive(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> du;
  // x = n ln 2 + r. Adding 1.5 * 2^23 rounds n to an integer and leaves it in the low bits.
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);  // ln 2 in two parts, n * the first is exact
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  // e^r = 1 + r + r² P(r), P our own minimax fit (relative error 3e-9).
  V p = hn::MulAdd(hn::Set(d, 1.381459300e-03f), r, hn::Set(d, 8.368717451e-03f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.166838816e-02f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.666652063e-01f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.999999345e-01f));
  p = hn::MulAdd(hn::Mul(p, r), r, r);
  p = hn::Add(p, hn::Set(d, 1.0f));
  // Times 2^n: n into the exponent.
  const auto scaled = hn::Add(hn::BitCast(du, p), hn::ShiftLeft<23>(hn::BitCast(du, shifted)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.0f)), hn::BitCast(d, scaled));
}

}  // namespace HWY_NAMESPACE
}  // namespace massact::ops::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard
