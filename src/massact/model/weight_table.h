// The declarative part of a family: which tensor of the file is which weight of the generic block.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/weight_source.h"
#include "massact/ops/matmul.h"
#include "massact/tensor/tensor.h"

namespace massact {

/// How a projection lies in the file.
enum class WeightLayout : std::uint8_t {
  out_in,  ///< HF's Linear: [outputs, inputs]
  in_out   ///< GPT-2's Conv1D: [inputs, outputs]
};

/// Which outputs of a fused projection belong to a weight: `runs` runs of `count` outputs, the
/// first one beginning at `first`, each `period` after the one before. Falcon's and GPT-NeoX's
/// query/key/value projections repeat [queries, key, value] per group of heads.
struct FusedPart {
  std::int64_t first = 0;
  std::int64_t count = -1;  ///< -1: all of the tensor, it is not fused
  std::int64_t period = 0;
  std::int64_t runs = 1;

  bool is_whole() const { return count < 0; }
};

/// One weight: canonical name ← source tensor. In both names `*` stands for the block's number;
/// in source names a leading `@` stands for the file's prefix.
/// Canonical names are TransformerLens's ("blocks.*.attn.W_Q"), values stay as in the file.
struct WeightSpec {
  std::string canonical;
  std::vector<std::string> sources;  ///< names in use for it; the first one found is taken
  Shape shape;                       ///< of the tensor in the file
  WeightLayout layout = WeightLayout::out_in;
  FusedPart part;            ///< if it is a part of a fused projection (or bias)
  std::int64_t expert = -1;  ///< if not negative: this entry of the tensor's first axis

  /// The first source name with its prefix and block filled in.
  std::string source_name(std::string_view prefix, std::int64_t block) const;
};

/// Tensors that files carry and nobody needs ("*" matches any run of characters).
struct IgnoredTensors {
  std::string pattern;
  std::string reason;
};

/// Where the elements of a weight lie in its source tensor. Every weight is a matrix here, whatever
/// the file's layout: projections [outputs, inputs]; kernels of convolutions [outputs, all the
/// rest]; tables [rows, width] (tables of one vector each along leading axes of 1, [1, n, width],
/// too); vectors [n, 1].
struct WeightPlacement {
  std::int64_t rows = 0, columns = 0;
  std::int64_t first = 0;  ///< element (0, 0)'s number in the tensor, row-major
  std::int64_t row_stride = 1, column_stride = 1;
  /// Rows come in runs of this many, `run_stride` elements from one run's begin to the next one's.
  std::int64_t run_rows = 0, run_stride = 0;

  /// The number of element (row, column) in the tensor.
  std::int64_t element(std::int64_t row, std::int64_t column) const {
    return first + row / run_rows * run_stride + row % run_rows * row_stride +
           column * column_stride;
  }
};

struct WeightTable {
  std::vector<WeightSpec> specs;
  std::vector<IgnoredTensors> ignored;
  /// What `@` may be ("model.", ""); the same in the whole file.
  std::vector<std::string> prefixes = {""};

  /// Adds a required weight; change the result for other layouts and fused parts.
  WeightSpec& add(std::string canonical, std::string source, Shape shape);
  void ignore(std::string pattern, std::string reason);
};

/// A weight table bound to a file: every required weight found, of the right shape, and every
/// tensor of the file accounted for. Thread-safe.
class BoundWeights {
 public:
  /// Throws one Error that lists all missing, misshaped and unexpected tensors.
  static BoundWeights bind(const WeightTable& table, std::shared_ptr<const WeightSource> source,
                           std::int64_t blocks);

  bool has(std::string_view canonical) const;

  /// A weight as `ops::PackedMatrix::pack` takes it.
  struct Matrix {
    std::vector<ops::WeightSlice> slices;  ///< to be stacked along their outputs
    Buffer<float> decoded;                 ///< what `slices` point into, if decoded as a whole
  };
  Matrix matrix(std::string_view canonical) const;
  /// Bytes of `matrix`'s decoded copy: a weight that the file holds encoded and transposed has one.
  std::uint64_t decoded_bytes(std::string_view canonical) const;

  /// A vector weight (norm, bias, …) in f32; empty if it is not in the table.
  std::vector<float> vector(std::string_view canonical) const;

  /// Rows [first, first + count) of a matrix weight in f32, into out [count, columns].
  void rows(std::string_view canonical, std::int64_t first, std::int64_t count, float* out) const;

  /// The matrix that a weight is, and where its elements lie in the source tensor.
  WeightPlacement placement(std::string_view canonical) const;

  /// The source tensor's name.
  std::string source_name(std::string_view canonical) const;

  /// Canonical names that begin with `prefix` ("blocks.3.").
  std::vector<std::string> names(std::string_view prefix) const;

  /// Bytes in the file of all weights that begin with `prefix` (fused tensors once).
  std::uint64_t stored_bytes(std::string_view prefix) const;

  /// WeightSource's, for all weights that begin with `prefix`.
  void will_need(std::string_view prefix) const;
  void release(std::string_view prefix) const;

  const WeightSource& source() const { return *source_; }
  /// The same bindings on another source with the same tensors (their values may differ).
  BoundWeights with_source(std::shared_ptr<const WeightSource> source) const {
    BoundWeights bound = *this;
    bound.source_ = std::move(source);
    return bound;
  }
  /// Tensors of the file that are not used, each with the reason.
  const std::vector<std::pair<std::string, std::string>>& ignored() const { return ignored_; }

 private:
  struct Binding {
    std::string source;
    WeightSpec spec;
  };
  const Binding& at(std::string_view canonical) const;

  std::shared_ptr<const WeightSource> source_;
  std::map<std::string, Binding, std::less<>> bindings_;
  std::vector<std::pair<std::string, std::string>> ignored_;
};

}  // namespace massact
