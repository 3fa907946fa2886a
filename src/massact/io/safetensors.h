// The safetensors format (github.com/huggingface/safetensors): a length, a JSON header, the bytes.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/atomic_file.h"
#include "massact/io/weight_source.h"

namespace massact {

/// Opens a `.safetensors` file, a `.safetensors.index.json`, or a directory with
/// `model.safetensors` or `model.safetensors.index.json`. The whole header is checked as the
/// format's own reader does: lengths, types, shapes, offsets, no overlaps, no holes. All missing
/// shards are named at once.
std::unique_ptr<WeightSource> open_safetensors(const std::filesystem::path& directory_or_file);

/// The `__metadata__` of one safetensors file; empty if it has none.
std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& file);

/// Writes one safetensors file whose tensors may be filled piece by piece and in any order: what
/// is larger than memory can be written. The file appears under its name on `commit()` only.
class SafetensorsWriter {
 public:
  struct Declaration {
    std::string name;
    DType type = DType::f32;
    Shape shape;
  };

  /// Tensors are laid out in the order of `tensors`. Claims the disk space at once.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<Declaration> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  /// Fills bytes [byte_offset, byte_offset + bytes.size()) of a tensor. Each byte must be written
  /// exactly once. Thread-safe.
  void write(std::string_view name, std::uint64_t byte_offset, std::span<const std::byte> bytes);

  /// Makes the file visible. Throws if a tensor is not completely filled. Call once, last.
  void commit();

 private:
  struct Slot {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
    std::uint64_t written = 0;
  };

  std::string where_;
  AtomicFile file_;
  std::map<std::string, Slot, std::less<>> slots_;
};

}  // namespace massact
