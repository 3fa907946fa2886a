// Our own bf16 matmul, on AMX or VDPBF16PS: C in blocks that stay in the L2 cache over all of k, A
// and B as panels in the order in which they are used, the next panels prefetched. Every element is
// summed over k in one order whatever the blocking, so a row's bits depend on nothing else.
#include <algorithm>

#include "massact/ops/cpu/divide.h"
#include "massact/ops/cpu/packed_buffer.h"
#include "massact/ops/cpu/packed_matrix.h"
#include "massact/ops/cpu/panels.h"
#include "massact/ops/cpu/row_kernels.h"
#include "massact/ops/cpu/weight_reader.h"

namespace massact::ops::cpu {
namespace {

constexpr std::int64_t kBlockK = 256;             // a panel of A and one of B share the L1 cache
constexpr std::int64_t kBlockN = 256;             // with kBlockM: C's block, which shares the L2
constexpr std::int64_t kBlockM = 256;             // cache with two generations of panels of A
constexpr std::int64_t kScratchBytes = 48 << 20;  // of packed x at a time
constexpr std::int64_t kStreamBytes = 8 << 20;    // larger results are written past the caches

// True if columns of y that are multiples of a panel begin at cache lines.
bool whole_lines(FloatMatrix y) {
  constexpr std::uintptr_t kLine = 64;
  return (reinterpret_cast<std::uintptr_t>(y.data) | static_cast<std::uintptr_t>(y.stride * 4)) %
             kLine ==
         0;
}

// x packed: per block of rows, per block of k, its panels.
struct PackedRows {
  const std::uint16_t* data = nullptr;
  std::int64_t rows = 0;  // whole panels
};

class PanelMatrix : public PackedMatrix::Impl {
 public:
  PanelMatrix(const PackRequest& request, const PanelKernel& kernel, Threads& threads);
  void multiply(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                Threads& threads) const override;
  std::uint64_t byte_count() const override { return static_cast<std::uint64_t>(panels_.size()); }

 private:
  struct KBlock {
    std::int64_t first, steps;
  };
  KBlock k_block(std::int64_t kb) const {
    return {kb * kBlockK, std::min(kBlockK, padded_k_ - kb * kBlockK) / kPanelStep};
  }
  std::int64_t k_blocks() const { return divide_up(padded_k_, kBlockK); }
  // Panels of outputs [nb * kBlockN, …) for one block of k.
  std::uint16_t* b_panels(std::int64_t nb, std::int64_t kb) const {
    const std::int64_t first = nb * kBlockN, width = std::min(kBlockN, padded_n_ - first);
    return reinterpret_cast<std::uint16_t*>(panels_.data()) + first * padded_k_ +
           kb * kBlockK * width;
  }
  void pack_panel(std::span<const WeightSlice> source, std::int64_t panel);
  void pack_rows(ConstFloatMatrix x, std::int64_t panel, const NormOptions* norm,
                 std::uint16_t* out) const;
  void multiply_rows(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                     Threads& threads) const;
  void multiply_block(const PanelProducts& products, const PackedRows& a, std::int64_t mb,
                      std::int64_t nb, const MatmulOptions& options, FloatMatrix y) const;

  const PanelKernel& kernel_;
  std::int64_t n_, k_, padded_n_, padded_k_;
  PackedBuffer panels_;
};

PanelMatrix::PanelMatrix(const PackRequest& request, const PanelKernel& kernel, Threads& threads)
    : kernel_(kernel),
      n_(request.n),
      k_(request.k),
      padded_n_(round_up(n_, kPanel)),
      padded_k_(round_up(k_, kPanelStep)),
      panels_(padded_n_ * padded_k_ * static_cast<std::int64_t>(sizeof(std::uint16_t))) {
  threads.parallel_for(padded_n_ / kPanel,
                       [&](std::int64_t panel, int) { pack_panel(request.slices, panel); });
}

// 32 outputs: rows of k become pairs of k side by side for 16 outputs.
void PanelMatrix::pack_panel(std::span<const WeightSlice> source, std::int64_t panel) {
  static thread_local Buffer<std::uint16_t> rows;
  rows.reserve_discarding(kPanel * k_);
  const std::int64_t first = panel * kPanel, count = std::min(kPanel, n_ - first);
  read_weight_rows(source, first, count, rows.data());
  const std::int64_t nb = first / kBlockN, in_block = first % kBlockN;
  for (std::int64_t kb = 0; kb < k_blocks(); ++kb) {
    const KBlock block = k_block(kb);
    std::uint16_t* const out = b_panels(nb, kb) + in_block * block.steps * kPanelStep;
    pack_b_panel(rows.data() + block.first, k_, count, std::min(kBlockK, k_ - block.first), out);
  }
}

void PanelMatrix::multiply(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                           Threads& threads) const {
  const std::int64_t most =
      std::max<std::int64_t>(1, kScratchBytes / (padded_k_ * 2 * kBlockM)) * kBlockM;
  for (std::int64_t first = 0; first < x.rows; first += most) {
    const std::int64_t rows = std::min(most, x.rows - first);
    MatmulOptions part = options;
    if (part.residual.data != nullptr) part.residual = part.residual.slice_rows(first, rows);
    multiply_rows(x.slice_rows(first, rows), y.slice_rows(first, rows), part, threads);
  }
}

// One panel of x, normalised on the way if asked for.
void PanelMatrix::pack_rows(ConstFloatMatrix x, std::int64_t panel, const NormOptions* norm,
                            std::uint16_t* out) const {
  const std::int64_t row = panel * kPanel, count = std::min(kPanel, x.rows - row);
  ConstFloatMatrix rows = x.slice_rows(row, count);
  if (norm != nullptr) {
    static thread_local Buffer<float> normed;
    normed.reserve_discarding(kPanel * k_);
    norm_rows(x, row, count, *norm, normed.data());
    rows = {normed.data(), count, k_};
  }
  const std::int64_t block_first = row / kBlockM * kBlockM;
  const std::int64_t block_rows =
      std::min(kBlockM, divide_up(x.rows, kPanel) * kPanel - block_first);
  for (std::int64_t kb = 0; kb < k_blocks(); ++kb) {
    const KBlock block = k_block(kb);
    pack_a_panel(rows.slice_cols(block.first, std::min(kBlockK, k_ - block.first)), 1.0f,
                 out + block_first * padded_k_ + block.first * block_rows +
                     (row - block_first) * block.steps * kPanelStep);
  }
}

void PanelMatrix::multiply_rows(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                                Threads& threads) const {
  static thread_local Buffer<std::uint16_t> packed;  // the caller's, shared by its workers
  const std::int64_t row_panels = divide_up(x.rows, kPanel);
  packed.reserve_discarding(row_panels * kPanel * padded_k_);
  const PackedRows a = {packed.data(), row_panels * kPanel};
  std::uint16_t* const out = packed.data();
  threads.parallel_for(
      row_panels, [&, out](std::int64_t panel, int) { pack_rows(x, panel, options.norm, out); });
  // A task is a few blocks of rows one after the other, each prefetching the next; few enough that
  // every thread gets several tasks. The split changes no bits.
  const std::int64_t m_blocks = divide_up(a.rows, kBlockM), n_blocks = divide_up(n_, kBlockN);
  const std::int64_t run =
      std::clamp<std::int64_t>(m_blocks * n_blocks / (8 * threads.count()), 1, 4);
  const std::int64_t runs = divide_up(m_blocks, run);
  threads.parallel_for(runs * n_blocks, [&](std::int64_t task, int) {
    const PanelProducts products(kernel_);
    const std::int64_t first = task % runs * run;
    for (std::int64_t mb = first; mb < std::min(m_blocks, first + run); ++mb) {
      multiply_block(products, a, mb, task / runs, options, y);
    }
  });
}

// One block of C: up to kBlockM rows, kBlockN outputs.
void PanelMatrix::multiply_block(const PanelProducts& products, const PackedRows& a,
                                 std::int64_t mb, std::int64_t nb, const MatmulOptions& options,
                                 FloatMatrix y) const {
  static thread_local Buffer<float> c_memory;
  c_memory.reserve_discarding(kBlockM * kBlockN);
  const std::int64_t first_row = mb * kBlockM, rows = std::min(kBlockM, a.rows - first_row);
  const std::int64_t first_out = nb * kBlockN, width = std::min(kBlockN, padded_n_ - first_out);
  const std::int64_t row_panels = rows / kPanel, out_panels = width / kPanel;
  const std::uint16_t* const a_block = a.data + first_row * padded_k_;
  const bool stream = y.rows * y.cols * 4 >= kStreamBytes && whole_lines(y);

  for (std::int64_t kb = 0; kb < k_blocks(); ++kb) {
    const KBlock block = k_block(kb);
    const bool last = kb + 1 == k_blocks();
    const std::int64_t panel_elements = block.steps * kPanelStepElements;
    const std::uint16_t* const a_panels = a_block + block.first * rows;
    const std::uint16_t* const b = b_panels(nb, kb);
    // While this block of k is computed, the next one's panels of A come into the L2 cache (after
    // the last block of k the next rows' first one, which follows in memory), a part for every
    // panel of B; and the next panel of B, a part for every panel of A.
    const std::uint16_t* const next_a = a_panels + row_panels * panel_elements;
    constexpr std::int64_t kStepBytes = kPanelStepElements * 2;
    for (std::int64_t j = 0; j < out_panels; ++j) {
      const std::uint16_t* const b_panel = b + j * panel_elements;
      const std::uint16_t* const next_b =
          last && j + 1 == out_panels ? b_panels(nb, 0) : b_panel + panel_elements;
      for (std::int64_t i = 0; i < row_panels; ++i) {
        float* const c = c_memory.data() + (j * row_panels + i) * kPanel * kPanel;
        const PanelPrefetch prefetch_a = {
            next_a + (j * row_panels + i) * panel_elements / out_panels, kStepBytes / out_panels};
        const PanelPrefetch prefetch_b = {next_b + i * panel_elements / row_panels,
                                          kStepBytes / row_panels};
        const std::int64_t row = first_row + i * kPanel, out = first_out + j * kPanel;
        const std::int64_t y_rows = std::min(kPanel, y.rows - row);
        const std::int64_t y_columns = std::min(kPanel, n_ - out);
        const bool direct =
            last && !stream && !options.changes_result() && y_rows == kPanel && y_columns == kPanel;
        products.multiply({a_panels + i * panel_elements, b_panel, block.steps,
                           kb > 0 ? c : nullptr, kPanel, direct ? y.row(row) + out : c,
                           direct ? y.stride : kPanel, y_rows, prefetch_a, prefetch_b});
        if (last && !direct) {
          finish_product({.values = c,
                          .stride = kPanel,
                          .rows = y_rows,
                          .columns = y_columns,
                          .first_row = row,
                          .first_column = out,
                          .stream = stream},
                         options, y);
        }
      }
    }
  }
}

}  // namespace

// Weights on their way into a panel, rows of x normalised on theirs, and a block of C.
std::uint64_t panel_thread_bytes(std::int64_t n, std::int64_t k) {
  const std::int64_t rows = kPanel * k * static_cast<std::int64_t>(sizeof(std::uint16_t));
  const std::int64_t normed = kPanel * k * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t c = kBlockM * std::min(kBlockN, round_up(n, kPanel));
  return static_cast<std::uint64_t>(rows + normed + c * static_cast<std::int64_t>(sizeof(float)));
}

std::shared_ptr<const PackedMatrix::Impl> pack_panels(const PackRequest& request,
                                                      const PanelKernel& kernel, Threads& threads) {
  return std::make_shared<PanelMatrix>(request, kernel, threads);
}

}  // namespace massact::ops::cpu
