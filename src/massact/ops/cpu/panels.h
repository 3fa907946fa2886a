// bf16 products of 32x32 blocks of C from panels, the layout that AMX and VDPBF16PS share: the
// driver of matmul and attention's kernel are written once, the instructions differ.
//
// A panel of `steps` k-steps (32 elements of k each) is a sequence of [step][2 tiles] of 16 rows of
// 64 bytes: for A the tiles hold 16 rows of x, 32 consecutive k; for B they hold 16 pairs of k, 16
// outputs times 2.
#pragma once

#include <cstdint>

#include "massact/tensor/tensor.h"

namespace massact::ops::cpu {

constexpr std::int64_t kPanelStep = 32;  ///< k per step
constexpr std::int64_t kPanel = 32;      ///< rows of A, outputs of B, per panel
constexpr std::int64_t kPanelStepElements = kPanelStep * kPanel;  ///< of one step of a panel
constexpr std::int64_t kPanelTile = kPanelStepElements / 2;       ///< elements of one of its tiles

/// Memory to be brought into the L2 cache while a block is computed.
struct PanelPrefetch {
  const void* first = nullptr;
  std::int64_t bytes_per_step = 0;
};

/// out[32][32] = (c +) panel a · panel bᵀ.
struct PanelBlock {
  const std::uint16_t* a = nullptr;
  const std::uint16_t* b = nullptr;
  std::int64_t steps = 0;
  const float* c = nullptr;  ///< the sum so far, or null
  std::int64_t c_stride = kPanel;
  float* out = nullptr;  ///< may be c
  std::int64_t out_stride = kPanel;
  std::int64_t rows = kPanel;  ///< wanted ones; the others may be left as they are
  PanelPrefetch prefetch_a{}, prefetch_b{};
};

/// Instructions that multiply panels. Every element is summed over k in one order, so a row's bits
/// depend neither on `rows` nor on how k is cut into blocks of whole steps.
class PanelKernel {
 public:
  virtual ~PanelKernel() = default;
  /// Called in a PanelProducts' lifetime only.
  virtual void multiply(const PanelBlock& block) const = 0;
  /// `steps` times the products of a step of a block, on registers alone: the speed limit that
  /// benchmarks compare with.
  virtual void register_products(std::int64_t steps) const = 0;

 private:
  friend class PanelProducts;
  virtual void enter() const {}
  virtual void leave() const {}
};

/// Keeps the registers configured while it lives, in the thread that made it.
class PanelProducts {
 public:
  explicit PanelProducts(const PanelKernel& kernel) : kernel_(kernel) { kernel_.enter(); }
  ~PanelProducts() { kernel_.leave(); }
  PanelProducts(const PanelProducts&) = delete;
  PanelProducts& operator=(const PanelProducts&) = delete;

  void multiply(const PanelBlock& block) const { kernel_.multiply(block); }

 private:
  const PanelKernel& kernel_;
};

/// The kernel for the cpu_level() in use: AMX, AVX512-BF16, or null below that.
const PanelKernel* panel_kernel();

/// Need CpuLevel::amx and CpuLevel::avx512_bf16.
const PanelKernel& amx_panel_kernel();
const PanelKernel& avx512_panel_kernel();

/// Up to 32 rows of f32, times `scale` → one A panel; missing rows are zero, columns are padded
/// with zeros to whole steps of k. As the others, needs CpuLevel::avx512_bf16.
void pack_a_panel(ConstFloatMatrix x, float scale, std::uint16_t* panel);

/// Up to 32 rows (outputs) of bf16 weights, `count` values of k → one B panel, padded likewise.
void pack_b_panel(const std::uint16_t* w, std::int64_t stride, std::int64_t outputs,
                  std::int64_t count, std::uint16_t* panel);
/// The same from f32.
void pack_b_panel(ConstFloatMatrix w, std::uint16_t* panel);

/// Rows of f32 that are summed over, in pairs → one B panel: up to 32 columns (missing ones zero),
/// x.rows values of k, padded with zeros to whole steps.
void pack_b_panel_from_rows(ConstFloatMatrix x, std::uint16_t* panel);

}  // namespace massact::ops::cpu
