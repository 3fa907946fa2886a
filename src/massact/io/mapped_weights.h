// The part of a WeightSource that all mapped file formats share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "massact/io/mapped_file.h"
#include "massact/io/weight_source.h"

namespace massact {

/// A tensor and where its bytes are: [offset, offset + info.bytes) of `file` if it lies without
/// gaps, already checked.
struct MappedTensor {
  TensorInfo info;
  std::shared_ptr<const MappedFile> file;
  std::uint64_t offset = 0;
  /// Elements between neighbours of each axis; empty: row-major without gaps. Then `offset` is that
  /// of the first element, and every element that the strides reach is inside `file`.
  std::vector<std::int64_t> strides = {};
};

/// Tensors at known places of mapped files.
///
/// Few elements of a large tensor (rows of an embedding) are copied out of the file instead of
/// being read where it is mapped: around every byte that is touched the system maps up to 2 MiB, so
/// that a hundred rows of GPT-2's embedding would have all its 77 MB resident.
class MappedWeights : public WeightSource {
 public:
  /// Tensors up to this size are read where they are mapped.
  static constexpr std::uint64_t kSmallTensor = std::uint64_t{1} << 20;

  /// Throws if two tensors have the same name.
  MappedWeights(std::string description, std::vector<MappedTensor> tensors);

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::string description() const override { return description_; }
  std::uint64_t file_bytes() const override { return file_bytes_; }
  TensorView view(std::string_view name) const override;
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override;
  void will_need(std::string_view name) const override;
  void release(std::string_view name) const override;

 protected:
  /// First byte of a tensor of this source.
  const std::byte* data(const TensorInfo& tensor) const;
  /// Bytes [first, first + count) of a tensor: few of a large one in `scratch`, else where they are
  /// mapped.
  const std::byte* bytes_of(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count,
                            std::vector<std::byte>& scratch) const;
  /// Throws unless elements [first, first + count) are inside the tensor.
  void check_range(const TensorInfo& tensor, std::int64_t first, std::int64_t count) const;

 private:
  struct Place {
    std::shared_ptr<const MappedFile> file;
    std::uint64_t offset;
    std::vector<std::int64_t> strides;
  };
  const Place& place(const TensorInfo& tensor) const;
  void read_strided(const TensorInfo& tensor, std::int64_t first, std::int64_t count,
                    float* out) const;

  std::string description_;
  std::vector<TensorInfo> tensors_;  // sorted by name
  std::vector<Place> places_;        // parallel to tensors_
  std::uint64_t file_bytes_ = 0;
};

}  // namespace massact
