// oneDNN's matmul, called single-threaded from our own pool: one call per (tile of rows, slice of
// outputs). Tiles and slices depend on n and k only, so a row's bits depend on nothing else.
#include <algorithm>
#include <cstring>
#include <dnnl.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "massact/base/error.h"
#include "massact/ops/cpu/convert.h"
#include "massact/ops/cpu/divide.h"
#include "massact/ops/cpu/features.h"
#include "massact/ops/cpu/packed_buffer.h"
#include "massact/ops/cpu/packed_matrix.h"
#include "massact/ops/cpu/row_kernels.h"
#include "massact/ops/cpu/weight_reader.h"

// libgomp's own, declared here: clang has no <omp.h> unless its OpenMP is installed.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int count);
}

namespace massact::ops::cpu {
namespace {

using dnnl::memory;
using Dims = memory::dims;

// Keeps oneDNN from opening an OpenMP team in the calling thread: the parallelism is ours.
class SingleOmpThread {
 public:
  SingleOmpThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleOmpThread() { omp_set_num_threads(before_); }
  SingleOmpThread(const SingleOmpThread&) = delete;
  SingleOmpThread& operator=(const SingleOmpThread&) = delete;

 private:
  int before_;
};

dnnl::cpu_isa onednn_isa(CpuLevel level) {
  switch (level) {
    case CpuLevel::sse4:
      return dnnl::cpu_isa::sse41;
    case CpuLevel::avx2:
      return dnnl::cpu_isa::avx2;
    case CpuLevel::avx512:
      return dnnl::cpu_isa::avx512_core_vnni;
    case CpuLevel::avx512_bf16:
      return dnnl::cpu_isa::avx512_core_bf16;
    case CpuLevel::amx:
      break;
  }
  return dnnl::cpu_isa::all;
}

const dnnl::engine& engine() {
  static const dnnl::engine the_engine = [] {
    dnnl::set_max_cpu_isa(onednn_isa(cpu_level()));
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return the_engine;
}

// oneDNN multiplies bf16 from AVX-512 on, and int8 without saturating sums of pairs with VNNI.
// Elsewhere f32 kernels multiply the rounded values: the products are the same.
memory::data_type storage_type(Precision precision) {
  const bool wide = cpu_level() >= CpuLevel::avx512;
  if (precision == Precision::bf16 && wide) return memory::data_type::bf16;
  if (precision == Precision::int8 && wide && __builtin_cpu_supports("avx512vnni")) {
    return memory::data_type::s8;
  }
  return memory::data_type::f32;
}

// Rows of f32 to the values that `precision` leaves of them, still as f32.
void round_rows(Precision precision, std::int64_t rows, std::int64_t count, float* values) {
  if (precision == Precision::bf16) round_to_bfloat16(values, rows * count, values);
  if (precision != Precision::int8) return;
  std::vector<std::int8_t> levels(static_cast<std::size_t>(count));
  for (std::int64_t r = 0; r < rows; ++r) {
    float* const row = values + r * count;
    const float scale = quantise(row, count, levels.data());
    for (std::int64_t i = 0; i < count; ++i) {
      row[i] = static_cast<float>(levels[static_cast<std::size_t>(i)]) * scale;
    }
  }
}

/// What a primitive is made for.
struct GemmKey {
  memory::data_type type = memory::data_type::f32;
  std::int64_t m = 0, n = 0, k = 0;
  auto operator<=>(const GemmKey&) const = default;
};

struct Gemm {
  dnnl::matmul primitive;
  memory::desc x, w, y, scratchpad;
};

dnnl::matmul::primitive_desc describe(const GemmKey& key, const memory::desc* weights) {
  // Dense on both sides: with any other stride oneDNN 2.6 leaves its brgemm kernels.
  const memory::desc x(Dims{key.m, key.k}, key.type, memory::format_tag::ab);
  const bool integers = key.type == memory::data_type::s8;
  const memory::desc y(Dims{key.m, key.n},
                       integers ? memory::data_type::s32 : memory::data_type::f32,
                       memory::format_tag::ab);
  const memory::desc any(Dims{key.k, key.n}, key.type, memory::format_tag::any);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // calls run concurrently
  return {dnnl::matmul::desc(x, weights != nullptr ? *weights : any, y), attributes, engine()};
}

// Tried out on oneDNN 2.6: its AVX-512 brgemm adds up in the same order whatever the number of
// rows; its AMX and its older kernels change with it and are only used on full tiles.
bool bits_depend_on_rows(const dnnl::matmul::primitive_desc& pd) {
  const std::string_view name = pd.impl_info_str();
  return !name.starts_with("brg:avx512") || name.find("amx") != std::string_view::npos;
}

// Primitives of all matrices in the process: the layers of a model share their shapes.
class GemmCache {
 public:
  std::shared_ptr<const Gemm> get(const GemmKey& key, const memory::desc& weights) {
    const std::lock_guard lock(mutex_);
    auto& entry = gemms_[key];
    if (entry == nullptr) {
      const SingleOmpThread single;
      const auto pd = describe(key, &weights);
      entry = std::make_shared<Gemm>(Gemm{dnnl::matmul(pd), pd.src_desc(), pd.weights_desc(),
                                          pd.dst_desc(), pd.scratchpad_desc()});
    }
    auto result = entry;
    if (gemms_.size() > kMost) gemms_.clear();  // a run of ever new shapes must not grow for ever
    return result;
  }

 private:
  static constexpr std::size_t kMost = 512;
  std::mutex mutex_;
  std::map<GemmKey, std::shared_ptr<const Gemm>> gemms_;
};

GemmCache& gemm_cache() {
  static GemmCache cache;
  return cache;
}

// Memory that a thread keeps between calls.
std::byte* thread_scratch(std::size_t bytes) {
  static thread_local Buffer<std::byte> buffer;
  buffer.reserve_discarding(static_cast<std::int64_t>(bytes));
  return buffer.data();
}

void execute(const Gemm& gemm, const void* x, const std::byte* w, void* y, std::byte* scratch) {
  static thread_local dnnl::stream stream(engine());
  // The handles are not const in oneDNN's interface; sources are only read.
  const memory xs(gemm.x, engine(), const_cast<void*>(x));
  const memory ws(gemm.w, engine(), const_cast<std::byte*>(w));
  const memory ys(gemm.y, engine(), y);
  const memory pad(gemm.scratchpad, engine(), scratch);
  gemm.primitive.execute(
      stream,
      {{DNNL_ARG_SRC, xs}, {DNNL_ARG_WEIGHTS, ws}, {DNNL_ARG_DST, ys}, {DNNL_ARG_SCRATCHPAD, pad}});
}

// A slice of weights and a tile of x share the L2 cache.
std::int64_t slice_width(std::int64_t row_bytes) {
  return std::clamp<std::int64_t>((768 << 10) / row_bytes / 64 * 64, 64, 1024);
}
std::int64_t tile_rows(std::int64_t row_bytes) {
  return std::clamp<std::int64_t>((512 << 10) / row_bytes / 32 * 32, 64, 256);
}

constexpr std::int64_t kDecodedValues = 1 << 16;  // of weights on their way to int8

class OneDnnMatrix : public PackedMatrix::Impl {
 public:
  OneDnnMatrix(const PackRequest& request, Threads& threads);
  void multiply(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                Threads& threads) const override;
  std::uint64_t byte_count() const override {
    return bytes_ ? static_cast<std::uint64_t>(bytes_->size()) : 0;
  }

 private:
  struct Slice {
    std::int64_t first = 0;
    std::int64_t width = 0;
    memory::desc desc;
    std::int64_t offset = 0;  // in bytes_
  };

  // x as the primitives want it: rows without gaps, and in int8 the rows' scales.
  struct Input {
    const std::byte* rows = nullptr;
    const float* scales = nullptr;
  };
  // Rows of one call: [first, first + count) of y.
  struct Tile {
    std::int64_t first = 0, count = 0;
    const std::byte* rows = nullptr;
    const float* scales = nullptr;
  };

  bool is_bf16() const { return type_ == memory::data_type::bf16; }
  bool is_int8() const { return type_ == memory::data_type::s8; }
  std::int64_t element_bytes() const { return is_int8() ? 1 : (is_bf16() ? 2 : 4); }
  void pack_slice(const Slice& slice, std::span<const WeightSlice> source);
  void multiply_block(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                      Threads& threads) const;
  Input dense_input(ConstFloatMatrix x, const NormOptions* norm, Threads& threads) const;
  float convert_row(const float* x, std::byte* out) const;
  void run_tile(const Gemm& gemm, const Slice& slice, const Tile& tile, FloatMatrix y,
                const MatmulOptions& options) const;
  const std::byte* padded_tail(const std::byte* x, std::int64_t rows, std::int64_t padded) const;

  std::int64_t n_, k_;
  Precision precision_;
  memory::data_type type_;
  std::int64_t tile_rows_ = 0;  // rows per call
  std::int64_t tail_step_ = 0;  // the last rows are computed in a tile of a multiple of this
  std::vector<Slice> slices_;
  std::optional<PackedBuffer> bytes_;
  std::vector<float> scales_;  // int8: of the outputs
};

OneDnnMatrix::OneDnnMatrix(const PackRequest& request, Threads& threads)
    : n_(request.n),
      k_(request.k),
      precision_(request.precision),
      type_(storage_type(request.precision)) {
  const std::int64_t row_bytes = k_ * element_bytes();
  const std::int64_t width = slice_width(row_bytes);
  tile_rows_ = tile_rows(row_bytes);

  tail_step_ = tile_rows_;

  std::int64_t offset = 0;
  for (std::int64_t first = 0; first < n_; first += width) {
    const std::int64_t this_width = std::min(width, n_ - first);
    const SingleOmpThread single;
    const auto pd = describe({type_, tile_rows_, this_width, k_}, nullptr);
    if (is_int8() || !bits_depend_on_rows(pd)) tail_step_ = 16;
    slices_.push_back({first, this_width, pd.weights_desc(), offset});
    offset += round_up(static_cast<std::int64_t>(pd.weights_desc().get_size()), 64);
  }
  bytes_.emplace(offset);
  if (is_int8()) scales_.resize(static_cast<std::size_t>(n_));
  threads.parallel_for(static_cast<std::int64_t>(slices_.size()), [&](std::int64_t i, int) {
    pack_slice(slices_[static_cast<std::size_t>(i)], request.slices);
  });
}

void OneDnnMatrix::pack_slice(const Slice& slice, std::span<const WeightSlice> source) {
  const SingleOmpThread single;
  const std::int64_t count = slice.width * k_;
  std::byte* rows = thread_scratch(static_cast<std::size_t>(count * element_bytes()));
  if (is_int8()) {
    // Several rows at a time: an adapter's are decoded together.
    const std::int64_t step = std::clamp<std::int64_t>(kDecodedValues / k_, 1, slice.width);
    std::vector<float> floats(static_cast<std::size_t>(step * k_));
    for (std::int64_t o = 0; o < slice.width; ++o) {
      const std::int64_t at = o % step;
      if (at == 0) {
        read_weight_rows(source, slice.first + o, std::min(step, slice.width - o), floats.data());
      }
      scales_[static_cast<std::size_t>(slice.first + o)] =
          quantise(floats.data() + at * k_, k_, reinterpret_cast<std::int8_t*>(rows) + o * k_);
    }
  } else if (is_bf16()) {
    read_weight_rows(source, slice.first, slice.width, reinterpret_cast<std::uint16_t*>(rows));
  } else {
    auto* floats = reinterpret_cast<float*>(rows);
    read_weight_rows(source, slice.first, slice.width, floats);
    round_rows(precision_, slice.width, k_, floats);
  }
  const memory::desc plain(Dims{k_, slice.width}, type_, Dims{1, k_});
  memory from(plain, engine(), rows);
  memory to(slice.desc, engine(), bytes_->data() + slice.offset);
  dnnl::stream stream(engine());
  dnnl::reorder(from, to).execute(stream, from, to);
}

void OneDnnMatrix::multiply(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                            Threads& threads) const {
  // Converted rows of x are kept in a scratch buffer of bounded size.
  constexpr std::int64_t kBlockBytes = 48 << 20;
  const std::int64_t block =
      std::max<std::int64_t>(1, kBlockBytes / (k_ * 4) / tile_rows_) * tile_rows_;
  for (std::int64_t first = 0; first < x.rows; first += block) {
    const std::int64_t rows = std::min(block, x.rows - first);
    MatmulOptions part = options;
    if (part.residual.data != nullptr) part.residual = part.residual.slice_rows(first, rows);
    multiply_block(x.slice_rows(first, rows), y.slice_rows(first, rows), part, threads);
  }
}

// Returns the row's scale in int8, else 1.
float OneDnnMatrix::convert_row(const float* x, std::byte* out) const {
  if (is_int8()) return quantise(x, k_, reinterpret_cast<std::int8_t*>(out));
  if (is_bf16()) {
    to_bfloat16(x, k_, reinterpret_cast<std::uint16_t*>(out));
  } else {
    std::memcpy(out, x, static_cast<std::size_t>(k_) * sizeof(float));
    round_rows(precision_, 1, k_, reinterpret_cast<float*>(out));
  }
  return 1.0f;
}

// x in the type of the weights, rows without gaps: rounded once, not once per slice.
OneDnnMatrix::Input OneDnnMatrix::dense_input(ConstFloatMatrix x, const NormOptions* norm,
                                              Threads& threads) const {
  if (precision_ == Precision::f32 && x.stride == k_ && norm == nullptr) {
    return {reinterpret_cast<const std::byte*>(x.data)};
  }
  static thread_local Buffer<std::byte> converted;  // the caller's, shared by its workers
  static thread_local Buffer<float> row_scales;
  row_scales.reserve_discarding(x.rows);
  float* const scales = row_scales.data();
  const std::int64_t row_bytes = k_ * element_bytes();
  converted.reserve_discarding(x.rows * row_bytes);
  std::byte* out = converted.data();
  constexpr std::int64_t kRows = 16;
  threads.parallel_for((x.rows + kRows - 1) / kRows, [&, out, scales](std::int64_t block, int) {
    static thread_local Buffer<float> normed;
    if (norm != nullptr) normed.reserve_discarding(k_);
    for (std::int64_t r = block * kRows; r < std::min(x.rows, (block + 1) * kRows); ++r) {
      if (norm != nullptr) norm_rows(x, r, 1, *norm, normed.data());
      scales[r] = convert_row(norm != nullptr ? normed.data() : x.row(r), out + r * row_bytes);
    }
  });
  return {out, scales};
}

// A copy of the last rows of x with zeros below them.
const std::byte* OneDnnMatrix::padded_tail(const std::byte* x, std::int64_t rows,
                                           std::int64_t padded) const {
  static thread_local Buffer<std::byte> tail;
  const auto row_bytes = static_cast<std::size_t>(k_ * element_bytes());
  tail.reserve_discarding(padded * k_ * element_bytes());
  const std::size_t filled = static_cast<std::size_t>(rows) * row_bytes;
  std::memcpy(tail.data(), x, filled);
  std::memset(tail.data() + filled, 0, static_cast<std::size_t>(padded) * row_bytes - filled);
  return tail.data();
}

void OneDnnMatrix::multiply_block(ConstFloatMatrix x, FloatMatrix y, const MatmulOptions& options,
                                  Threads& threads) const {
  const Input input = dense_input(x, options.norm, threads);
  const std::int64_t full_tiles = x.rows / tile_rows_;
  const std::int64_t tail = x.rows - full_tiles * tile_rows_;
  const std::int64_t tail_padded = round_up(tail, tail_step_);

  struct SliceGemms {
    std::shared_ptr<const Gemm> full, tail;
  };
  const auto gemms_for = [&](const Slice& slice) {
    SliceGemms gemms;
    const auto get = [&](std::int64_t m) {
      return gemm_cache().get({type_, m, slice.width, k_}, slice.desc);
    };
    if (full_tiles > 0) gemms.full = get(tile_rows_);
    if (tail > 0) gemms.tail = get(tail_padded);
    return gemms;
  };
  // All slices but the last one share their width.
  const SliceGemms first_gemms = gemms_for(slices_.front());
  const SliceGemms last_gemms = gemms_for(slices_.back());

  const std::int64_t tiles = full_tiles + (tail > 0 ? 1 : 0);
  const auto slice_count = static_cast<std::int64_t>(slices_.size());
  threads.parallel_for(slice_count * tiles, [&](std::int64_t task, int) {
    const SingleOmpThread single;
    const std::int64_t s = task / tiles, row = task % tiles * tile_rows_;
    const Slice& slice = slices_[static_cast<std::size_t>(s)];
    const SliceGemms& gemms = s + 1 == slice_count ? last_gemms : first_gemms;
    Tile tile = {row, std::min(tile_rows_, x.rows - row), input.rows + row * k_ * element_bytes(),
                 input.scales + row};
    const bool full = tile.count == tile_rows_;
    if (!full && tile.count < tail_padded) {
      tile.rows = padded_tail(tile.rows, tile.count, tail_padded);
    }
    run_tile(full ? *gemms.full : *gemms.tail, slice, tile, y, options);
  });
}

// The tile's rows of y, the slice's outputs.
void OneDnnMatrix::run_tile(const Gemm& gemm, const Slice& slice, const Tile& tile, FloatMatrix y,
                            const MatmulOptions& options) const {
  const std::byte* w = bytes_->data() + slice.offset;
  const std::int64_t scratchpad =
      round_up(static_cast<std::int64_t>(gemm.scratchpad.get_size()), 64);
  const std::int64_t rows = gemm.y.dims()[0];
  // A dense result needs no detour, unless what is added lies in its place.
  const bool direct =
      rows == tile.count && slice.width == y.stride && options.residual.data == nullptr;
  std::byte* const scratch =
      thread_scratch(static_cast<std::size_t>(scratchpad + (direct ? 0 : rows * slice.width * 4)));
  float* const out = direct ? y.row(tile.first) : reinterpret_cast<float*>(scratch + scratchpad);
  execute(gemm, tile.rows, w, out, scratch);
  if (is_int8()) {
    const float* const scales = scales_.data() + slice.first;
    for (std::int64_t r = 0; r < tile.count; ++r) {
      float* const row = out + r * slice.width;
      dequantise(reinterpret_cast<const std::int32_t*>(row), slice.width, tile.scales[r], scales,
                 row);
    }
  }
  if (direct && !options.changes_result()) return;
  finish_product({.values = out,
                  .stride = slice.width,
                  .rows = tile.count,
                  .columns = slice.width,
                  .first_row = tile.first,
                  .first_column = slice.first},
                 options, y);
}

}  // namespace

// A slice of weights while it is packed, and the last rows of x, padded to a tile.
std::uint64_t onednn_thread_bytes(std::int64_t n, std::int64_t k, Precision precision) {
  const std::int64_t element = precision == Precision::int8   ? 1
                               : precision == Precision::bf16 ? 2
                                                              : 4;
  const std::int64_t rows = std::min(slice_width(k * element), n) + tile_rows(k * element);
  std::int64_t bytes = rows * k * element;
  if (precision == Precision::int8) {
    bytes +=
        std::max(std::min(kDecodedValues, n * k), k) * static_cast<std::int64_t>(sizeof(float));
  }
  return static_cast<std::uint64_t>(bytes);
}

std::shared_ptr<const PackedMatrix::Impl> pack_onednn(const PackRequest& request,
                                                      Threads& threads) {
  try {
    return std::make_shared<OneDnnMatrix>(request, threads);
  } catch (const dnnl::error& error) {
    fail("matmul", "expected oneDNN to pack [{}, {}] in {}, got: {}", request.n, request.k,
         name_of(request.precision), error.message);
  }
}

}  // namespace massact::ops::cpu
