#include "massact/ops/cpu/weight_reader.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "massact/base/error.h"
#include "massact/ops/cpu/convert.h"

namespace massact::ops::cpu {
namespace {

// File memory has no alignment.
template <typename T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

void convert(const float* x, std::int64_t count, float* out) { std::copy_n(x, count, out); }
void convert(const float* x, std::int64_t count, std::uint16_t* out) { to_bfloat16(x, count, out); }

template <typename Source>
float to_f32(Source x) {
  if constexpr (std::is_same_v<Source, float>) {
    return x;
  } else {
    return to_float(x);
  }
}

// One file row whose inputs lie side by side, as f32.
void to_floats(const std::byte* data, std::int64_t count, float* out, float) {
  std::memcpy(out, data, static_cast<std::size_t>(count) * sizeof(float));
}
void to_floats(const std::byte* data, std::int64_t count, float* out, BFloat16) {
  from_bfloat16(data, count, out);
}
void to_floats(const std::byte* data, std::int64_t count, float* out, Float16) {
  from_float16(data, count, out);
}

template <typename Source, typename Out>
void read_contiguous(const std::byte* data, std::int64_t count, Out* out, std::vector<float>& row) {
  if constexpr (std::is_same_v<Out, float>) {
    to_floats(data, count, out, Source());
  } else if constexpr (std::is_same_v<Source, BFloat16>) {
    std::memcpy(out, data, static_cast<std::size_t>(count) * sizeof(Out));  // already bf16
  } else {
    row.resize(static_cast<std::size_t>(count));
    to_floats(data, count, row.data(), Source());
    convert(row.data(), count, out);
  }
}

// Rows of a transposed weight: blocks of inputs keep the file's rows in cache while every output
// row takes its column.
template <typename Source, typename Out>
void read_strided(const WeightSlice& slice, std::int64_t first, std::int64_t count, Out* out) {
  constexpr std::int64_t kBlock = 64;
  const auto element = [&](std::int64_t o, std::int64_t i) {
    const std::int64_t index = o * slice.out_stride + i * slice.in_stride;
    return to_f32(load<Source>(slice.data + index * static_cast<std::int64_t>(sizeof(Source))));
  };
  float block[kBlock];
  for (std::int64_t i0 = 0; i0 < slice.in; i0 += kBlock) {
    const std::int64_t width = std::min(kBlock, slice.in - i0);
    for (std::int64_t o = 0; o < count; ++o) {
      for (std::int64_t i = 0; i < width; ++i) block[i] = element(first + o, i0 + i);
      convert(block, width, out + o * slice.in + i0);
    }
  }
}

template <typename Source, typename Out>
void read_slice(const WeightSlice& slice, std::int64_t first, std::int64_t count, Out* out) {
  if (slice.in_stride != 1) return read_strided<Source>(slice, first, count, out);
  std::vector<float> row;
  for (std::int64_t o = 0; o < count; ++o) {
    const std::int64_t offset =
        (first + o) * slice.out_stride * static_cast<std::int64_t>(sizeof(Source));
    read_contiguous<Source>(slice.data + offset, slice.in, out + o * slice.in, row);
  }
}

void read_decoded(const WeightSlice& slice, std::int64_t first, std::int64_t count, float* out) {
  slice.read(first * slice.in, count * slice.in, out);
}
void read_decoded(const WeightSlice& slice, std::int64_t first, std::int64_t count,
                  std::uint16_t* out) {
  static thread_local Buffer<float> rows;
  rows.reserve_discarding(count * slice.in);
  read_decoded(slice, first, count, rows.data());
  convert(rows.data(), count * slice.in, out);
}

template <typename Out>
void read_typed(const WeightSlice& slice, std::int64_t first, std::int64_t count, Out* out) {
  if (slice.read) return read_decoded(slice, first, count, out);
  switch (slice.type) {
    case DType::f32:
      return read_slice<float>(slice, first, count, out);
    case DType::bf16:
      return read_slice<BFloat16>(slice, first, count, out);
    case DType::f16:
      return read_slice<Float16>(slice, first, count, out);
    default:
      fail("weight", "expected f32, f16 or bf16, got {}", name_of(slice.type));
  }
}

template <typename Out>
void read_rows(std::span<const WeightSlice> slices, std::int64_t first, std::int64_t count,
               Out* out) {
  std::int64_t start = 0;  // of the slice, among the stacked rows
  for (const WeightSlice& slice : slices) {
    const std::int64_t from = std::max(first, start);
    const std::int64_t to = std::min(first + count, start + slice.out);
    if (from < to) read_typed(slice, from - start, to - from, out + (from - first) * slice.in);
    start += slice.out;
  }
}

}  // namespace

void read_weight_rows(std::span<const WeightSlice> slices, std::int64_t first, std::int64_t count,
                      float* out) {
  read_rows(slices, first, count, out);
}

void read_weight_rows(std::span<const WeightSlice> slices, std::int64_t first, std::int64_t count,
                      std::uint16_t* out) {
  read_rows(slices, first, count, out);
}

}  // namespace massact::ops::cpu
