// GGUF files (github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "massact/io/gguf_metadata.h"
#include "massact/io/gguf_quants.h"
#include "massact/io/mapped_weights.h"

namespace massact {

/// A GGUF model: tensors under the names that the file gives them (`blk.0.attn_q.weight`), with
/// shapes outermost first (the file has them innermost first), and its metadata. Plain types have
/// views; block-quantised ones are decoded by `read`.
class GgufSource : public MappedWeights {
 public:
  GgufSource(std::string description, GgufMetadata metadata, std::vector<MappedTensor> tensors);

  const GgufMetadata& metadata() const { return metadata_; }
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override;

 private:
  GgufMetadata metadata_;
};

/// Opens and checks a file; if it is the first of a split model (`…-00001-of-00003.gguf`) all its
/// parts, which must be beside it. The metadata are those of the first part.
std::unique_ptr<GgufSource> open_gguf(const std::filesystem::path& path);

}  // namespace massact
