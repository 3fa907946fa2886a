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
class MappedWeights : public WeightSource {
 public:
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
