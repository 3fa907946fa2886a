// Tensors: one that owns its memory, views that do not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "massact/tensor/dtype.h"
#include "massact/tensor/shape.h"

namespace massact {

/// A read-only, row-major, contiguous tensor that somebody else owns (often a mapped file; then
/// `data` may be unaligned for its type: read through `read_floats` or memcpy).
struct TensorView {
  DType type = DType::f32;
  Shape shape;
  const std::byte* data = nullptr;

  std::size_t byte_count() const {
    return static_cast<std::size_t>(shape.element_count()) * size_of(type);
  }
};

/// Converts `count` floating-point elements from element `first` on to float32. Throws for integer
/// types.
void read_floats(const TensorView& view, std::int64_t first, std::int64_t count, float* out);

/// A dense matrix that somebody else owns: element (r, c) at data[r * stride + c].
template <typename T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* data_, std::int64_t rows_, std::int64_t cols_)
      : MatrixView(data_, rows_, cols_, cols_) {}
  MatrixView(T* data_, std::int64_t rows_, std::int64_t cols_, std::int64_t stride_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_) {}
  // A writable view is also a readable one.
  template <typename U = T>
  requires std::is_const_v<T> MatrixView(
      const MatrixView<std::remove_const_t<U>>& other)  // NOLINT(google-explicit-constructor)
      : MatrixView(other.data, other.rows, other.cols, other.stride) {}

  T* row(std::int64_t r) const { return data + r * stride; }
  T& operator()(std::int64_t r, std::int64_t c) const { return data[r * stride + c]; }
  /// Rows [first, first + count).
  MatrixView slice_rows(std::int64_t first, std::int64_t count) const {
    return {row(first), count, cols, stride};
  }
  /// Columns [first, first + count).
  MatrixView slice_cols(std::int64_t first, std::int64_t count) const {
    return {data + first, rows, count, stride};
  }
};

using FloatMatrix = MatrixView<float>;
using ConstFloatMatrix = MatrixView<const float>;

/// Asks the system to back large memory with huge pages: fewer TLB misses and page faults, worth a
/// third of the time of a bandwidth-bound matmul in a virtual machine. Only a hint.
void advise_huge_pages(void* data, std::size_t bytes);

/// A 64-byte aligned, uninitialised buffer of trivially copyable elements.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t count)
      : data_(static_cast<T*>(
            ::operator new[](static_cast<std::size_t>(count) * sizeof(T), std::align_val_t{64}))),
        count_(count) {
    static_assert(std::is_trivially_copyable_v<T>);
    advise_huge_pages(data_.get(), static_cast<std::size_t>(count) * sizeof(T));
  }

  T* data() const { return data_.get(); }
  std::int64_t size() const { return count_; }
  T& operator[](std::int64_t i) const { return data_.get()[i]; }
  std::span<T> span() const { return {data_.get(), static_cast<std::size_t>(count_)}; }

  /// Makes room for `count` elements; the contents are lost if it has to grow.
  void reserve_discarding(std::int64_t count) {
    if (count > count_) *this = Buffer(count);
  }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<T[], Free> data_;
  std::int64_t count_ = 0;
};

/// A row-major tensor that owns 64-byte aligned memory.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised.
  Tensor(DType type, Shape shape);

  DType type() const { return view_.type; }
  const Shape& shape() const { return view_.shape; }
  const TensorView& view() const { return view_; }
  std::byte* bytes() { return buffer_.data(); }
  const std::byte* bytes() const { return buffer_.data(); }

  /// The elements as float32; the type must be f32.
  std::span<float> floats();
  std::span<const float> floats() const;

 private:
  Buffer<std::byte> buffer_;
  TensorView view_;
};

/// A new f32 tensor with the values of `view` (any floating-point type).
Tensor to_float_tensor(const TensorView& view);

}  // namespace massact
