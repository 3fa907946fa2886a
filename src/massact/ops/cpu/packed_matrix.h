// What a matmul kernel is: something that packs weights and multiplies by them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "massact/ops/matmul.h"

namespace massact::ops {

struct PackedMatrix::Impl {
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  virtual ~Impl() = default;

  /// See ops::matmul; the shapes are already checked, x.rows > 0.
  virtual void multiply(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                        Threads& threads) const = 0;
  virtual std::uint64_t byte_count() const = 0;
};

namespace cpu {

/// Shape of a matrix to pack.
struct PackRequest {
  std::span<const WeightSlice> slices;
  std::int64_t n = 0;
  std::int64_t k = 0;
  Precision precision = Precision::f32;
};

/// oneDNN's matmul: every precision on every CPU.
std::shared_ptr<const PackedMatrix::Impl> pack_onednn(const PackRequest& request, Threads& threads);

class PanelKernel;

/// Bytes that a thread keeps for products with such weights, [n, k] or smaller, and while it packs
/// them.
std::uint64_t onednn_thread_bytes(std::int64_t n, std::int64_t k, Precision precision);

/// Our own bf16 matmul, with the products of `kernel`.
std::shared_ptr<const PackedMatrix::Impl> pack_panels(const PackRequest& request,
                                                      const PanelKernel& kernel, Threads& threads);

/// The same of these.
std::uint64_t panel_thread_bytes(std::int64_t n, std::int64_t k);

}  // namespace cpu
}  // namespace massact::ops
