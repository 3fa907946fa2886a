#include "massact/observe/magnitude_kernels.h"

#include <algorithm>
#include <bit>

// Highway compiles everything between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE once for every
// instruction set by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "massact/observe/magnitude_kernels.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace massact::observe::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::uint32_t kAbsMask = 0x7fffffffu;
constexpr std::uint32_t kSixBits = 0x40c00000u;  // 6.0f

// Bins, column counts and column maxima of one row. Returns nothing: all of it is in `pass`.
HWY_ATTR void scan_row_bits(const float* HWY_RESTRICT row, std::size_t n, FirstPass& pass) {
  const hn::ScalableTag<std::uint32_t> du;
  const hn::RebindToSigned<decltype(du)> di;  // magnitudes are positive as signed integers, too
  const std::size_t lanes = hn::Lanes(du);
  const auto mask = hn::Set(du, kAbsMask), one = hn::Set(du, 1u);
  const auto below_six = hn::Set(di, static_cast<std::int32_t>(kSixBits - 1));
  auto max = hn::Set(du, pass.max_bits), min = hn::Set(du, pass.min_bits);
  const auto* words = reinterpret_cast<const std::uint32_t*>(row);
  std::size_t c = 0;
  for (; c + lanes <= n; c += lanes) {
    const auto bits = hn::And(hn::LoadU(du, words + c), mask);
    hn::StoreU(hn::ShiftRight<kRefineBits>(bits), du, pass.bins + c);
    max = hn::Max(max, bits);
    min = hn::Min(min, hn::Sub(bits, one));  // zero wraps to the largest
    // A true lane is all ones, that is minus one.
    const auto is_outlier =
        hn::BitCast(du, hn::VecFromMask(di, hn::Gt(hn::BitCast(di, bits), below_six)));
    hn::StoreU(hn::Sub(hn::LoadU(du, pass.outlier_counts + c), is_outlier), du,
               pass.outlier_counts + c);
    hn::StoreU(hn::Max(hn::LoadU(du, pass.column_max + c), bits), du, pass.column_max + c);
  }
  pass.max_bits = hn::GetLane(hn::MaxOfLanes(du, max));
  pass.min_bits = hn::GetLane(hn::MinOfLanes(du, min));
  for (; c < n; ++c) {
    const std::uint32_t bits = words[c] & kAbsMask;
    pass.bins[c] = bits >> kRefineBits;
    pass.max_bits = std::max(pass.max_bits, bits);
    pass.min_bits = std::min(pass.min_bits, bits - 1u);
    pass.outlier_counts[c] += bits >= kSixBits ? 1 : 0;
    pass.column_max[c] = std::max(pass.column_max[c], bits);
  }
}

// Adds the row's sum and sum of magnitudes.
HWY_ATTR void add_row(const float* HWY_RESTRICT row, std::size_t n, double& sum, double& abs_sum) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  const std::size_t lanes = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = hn::Zero(d), a0 = hn::Zero(d), a1 = hn::Zero(d);
  std::size_t c = 0;
  for (; c + 2 * lanes <= n; c += 2 * lanes) {
    const auto x0 = hn::PromoteTo(d, hn::LoadU(half, row + c));
    const auto x1 = hn::PromoteTo(d, hn::LoadU(half, row + c + lanes));
    s0 = hn::Add(s0, x0);
    s1 = hn::Add(s1, x1);
    a0 = hn::Add(a0, hn::Abs(x0));
    a1 = hn::Add(a1, hn::Abs(x1));
  }
  sum += hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
  abs_sum += hn::GetLane(hn::SumOfLanes(d, hn::Add(a0, a1)));
  for (; c < n; ++c) {
    sum += static_cast<double>(row[c]);
    abs_sum += std::abs(static_cast<double>(row[c]));
  }
}

// Adds the row's powers of (x - mean) to sums.m2 … m4.
HWY_ATTR void add_row_powers(const float* HWY_RESTRICT row, std::size_t n, PowerSums& sums) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  const std::size_t lanes = hn::Lanes(d);
  const auto mean = hn::Set(d, sums.mean);
  auto p2 = hn::Zero(d), p3 = hn::Zero(d), p4 = hn::Zero(d);
  auto q2 = hn::Zero(d), q3 = hn::Zero(d), q4 = hn::Zero(d);
  std::size_t c = 0;
  for (; c + 2 * lanes <= n; c += 2 * lanes) {
    const auto x = hn::Sub(hn::PromoteTo(d, hn::LoadU(half, row + c)), mean);
    const auto y = hn::Sub(hn::PromoteTo(d, hn::LoadU(half, row + c + lanes)), mean);
    const auto xx = hn::Mul(x, x), yy = hn::Mul(y, y);
    p2 = hn::Add(p2, xx);
    q2 = hn::Add(q2, yy);
    p3 = hn::MulAdd(xx, x, p3);
    q3 = hn::MulAdd(yy, y, q3);
    p4 = hn::MulAdd(xx, xx, p4);
    q4 = hn::MulAdd(yy, yy, q4);
  }
  sums.m2 += hn::GetLane(hn::SumOfLanes(d, hn::Add(p2, q2)));
  sums.m3 += hn::GetLane(hn::SumOfLanes(d, hn::Add(p3, q3)));
  sums.m4 += hn::GetLane(hn::SumOfLanes(d, hn::Add(p4, q4)));
  for (; c < n; ++c) {
    const double x = static_cast<double>(row[c]) - sums.mean, xx = x * x;
    sums.m2 += xx;
    sums.m3 += xx * x;
    sums.m4 += xx * xx;
  }
}

HWY_ATTR BlockSums first_pass(ConstFloatMatrix block, FirstPass& pass) {
  const auto n = static_cast<std::size_t>(block.cols);
  BlockSums sums;
  double sum = 0.0;
  for (std::int64_t r = 0; r < block.rows; ++r) {
    scan_row_bits(block.row(r), n, pass);
    // The table is too wide for SIMD; the indices are in L1 and rarely collide.
    for (std::size_t c = 0; c < n; ++c) ++pass.histogram[pass.bins[c]];
    add_row(block.row(r), n, sum, sums.abs_sum);
  }
  sums.powers.count = static_cast<double>(block.rows * block.cols);
  sums.powers.mean = sum / sums.powers.count;
  // The block is still in the cache: central powers from a second look are stable.
  for (std::int64_t r = 0; r < block.rows; ++r) add_row_powers(block.row(r), n, sums.powers);
  return sums;
}

// Handles the few values that the SIMD test let through.
class Collector {
 public:
  Collector(const SecondPass& pass, std::vector<Scalar>& top, std::uint32_t* refined)
      : pass_(pass), top_(top), refined_(refined), first_(top.size()) {}

  void visit(float value, std::int64_t position, std::size_t dimension) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & kAbsMask;
    const std::uint32_t bin = bits >> kRefineBits;
    for (std::size_t i = 0; i < pass_.target_count; ++i) {
      if (bin == pass_.targets[i]) ++refined_[i * kRefineCount + (bits & (kRefineCount - 1))];
    }
    if (bin < pass_.top_bin) return;
    top_.push_back(
        {bits, static_cast<std::int32_t>(position), static_cast<std::int32_t>(dimension), value});
    // Plateaus (all values in one bin) must not make the list long.
    if (top_.size() - first_ >= 4 * pass_.top_k + 64) trim();
  }

 private:
  void trim() {
    const auto begin = top_.begin() + static_cast<std::ptrdiff_t>(first_);
    const auto end = begin + static_cast<std::ptrdiff_t>(pass_.top_k);
    std::nth_element(begin, end, top_.end(), larger);
    top_.erase(end, top_.end());
  }

  const SecondPass& pass_;
  std::vector<Scalar>& top_;
  std::uint32_t* refined_;
  std::size_t first_;
};

HWY_ATTR void second_pass(ConstFloatMatrix block, std::int64_t first_row, const SecondPass& pass,
                          std::vector<Scalar>& top, std::uint32_t* refined) {
  const hn::ScalableTag<std::int32_t> di;
  const std::size_t lanes = hn::Lanes(di), n = static_cast<std::size_t>(block.cols);
  const auto mask = hn::Set(di, static_cast<std::int32_t>(kAbsMask)),
             below_top = hn::Set(di, static_cast<std::int32_t>(pass.top_bin) - 1);
  const auto set = [di](std::uint32_t bin) { return hn::Set(di, static_cast<std::int32_t>(bin)); };
  static_assert(SecondPass::kMaxTargets == 8);
  const auto t0 = set(pass.targets[0]), t1 = set(pass.targets[1]);
  const auto t2 = set(pass.targets[2]), t3 = set(pass.targets[3]);
  const auto t4 = set(pass.targets[4]), t5 = set(pass.targets[5]);
  const auto t6 = set(pass.targets[6]), t7 = set(pass.targets[7]);
  Collector collector(pass, top, refined);
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const float* row = block.row(r);
    const auto* words = reinterpret_cast<const std::int32_t*>(row);
    std::size_t c = 0;
    for (; c + lanes <= n; c += lanes) {
      const auto bin = hn::ShiftRight<kRefineBits>(hn::And(hn::LoadU(di, words + c), mask));
      const auto low = hn::Or(hn::Or(hn::Eq(bin, t0), hn::Eq(bin, t1)),
                              hn::Or(hn::Eq(bin, t2), hn::Eq(bin, t3)));
      const auto high = hn::Or(hn::Or(hn::Eq(bin, t4), hn::Eq(bin, t5)),
                               hn::Or(hn::Eq(bin, t6), hn::Eq(bin, t7)));
      if (HWY_LIKELY(hn::AllFalse(di, hn::Or(hn::Or(low, high), hn::Gt(bin, below_top))))) continue;
      for (std::size_t i = c; i < c + lanes; ++i) collector.visit(row[i], first_row + r, i);
    }
    for (; c < n; ++c) collector.visit(row[c], first_row + r, c);
  }
}

// Calls visit with vectors of the bits of |values|, the last one filled up with zeros.
template <class Visit>
HWY_INLINE void for_magnitudes(std::span<const float> values, const Visit& visit) {
  const hn::ScalableTag<std::int32_t> di;
  const std::size_t lanes = hn::Lanes(di), n = values.size();
  const auto mask = hn::Set(di, static_cast<std::int32_t>(kAbsMask));
  const auto* words = reinterpret_cast<const std::int32_t*>(values.data());
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) visit(hn::And(hn::LoadU(di, words + i), mask));
  if (i < n) visit(hn::And(hn::MaskedLoad(hn::FirstN(di, n - i), di, words + i), mask));
}

// How many magnitudes have more than these bits.
HWY_INLINE std::size_t count_above(std::span<const float> values, std::int32_t bits) {
  const hn::ScalableTag<std::int32_t> di;
  const auto limit = hn::Set(di, bits);
  auto counts = hn::Zero(di);  // a true lane is minus one
  for_magnitudes(values, [&](auto x) HWY_ATTR {
    counts = hn::Sub(counts, hn::VecFromMask(di, hn::Gt(x, limit)));
  });
  return static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(di, counts)));
}

// Bisects the 31 bits: no data moves, and a pass costs little beside partitioning once.
HWY_ATTR OrderStatistics order_statistics(std::span<const float> values, std::size_t rank) {
  const hn::ScalableTag<std::int32_t> di;
  auto highest = hn::Zero(di);
  for_magnitudes(values, [&](auto x) HWY_ATTR { highest = hn::Max(highest, x); });
  std::int32_t low = 0, high = hn::GetLane(hn::MaxOfLanes(di, highest));
  const std::int32_t largest = high;
  const std::size_t above = values.size() - rank;  // from this rank on
  while (low < high) {
    const std::int32_t middle = low + (high - low) / 2;
    if (count_above(values, middle) >= above) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (count_above(values, low) + 1 < above)
    return {std::bit_cast<float>(low), std::bit_cast<float>(low)};
  const auto at = hn::Set(di, low);
  auto next = hn::Set(di, largest);
  for_magnitudes(values, [&](auto x) HWY_ATTR {
    next = hn::Min(next, hn::IfThenElse(hn::Gt(x, at), x, next));
  });
  return {std::bit_cast<float>(low), std::bit_cast<float>(hn::GetLane(hn::MinOfLanes(di, next)))};
}

}  // namespace massact::observe::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace massact::observe {

HWY_EXPORT(first_pass);
HWY_EXPORT(second_pass);
HWY_EXPORT(order_statistics);

BlockSums first_pass(ConstFloatMatrix block, FirstPass& pass) {
  return HWY_DYNAMIC_DISPATCH(first_pass)(block, pass);
}

void second_pass(ConstFloatMatrix block, std::int64_t first_row, const SecondPass& pass,
                 std::vector<Scalar>& top, std::uint32_t* refined) {
  HWY_DYNAMIC_DISPATCH(second_pass)(block, first_row, pass, top, refined);
}

OrderStatistics order_statistics(std::span<const float> values, std::size_t rank) {
  return HWY_DYNAMIC_DISPATCH(order_statistics)(values, rank);
}

void PowerSums::merge(const PowerSums& other) {
  if (other.count == 0.0) return;
  if (count == 0.0) {
    *this = other;
    return;
  }
  const double a = count, b = other.count, n = a + b;
  const double delta = other.mean - mean, step = delta / n;
  const double cross = a * b * delta * step;  // delta^2 a b / n
  m4 += other.m4 + cross * step * step * (a * a - a * b + b * b) +
        6.0 * step * step * (a * a * other.m2 + b * b * m2) + 4.0 * step * (a * other.m3 - b * m3);
  m3 += other.m3 + cross * step * (a - b) + 3.0 * step * (a * other.m2 - b * m2);
  m2 += other.m2 + cross;
  mean += b * step;
  count = n;
}

}  // namespace massact::observe
#endif  // HWY_ONCE
