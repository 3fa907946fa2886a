#include "train/safetensors.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "massact/base/error.h"

namespace massact::train {
namespace {

std::string dtype_name(at::ScalarType type) {
  if (type == at::kFloat) return "F32";
  if (type == at::kBFloat16) return "BF16";
  require(type == at::kDouble, "safetensors", "expected float32, bfloat16 or float64");
  return "F64";
}

at::ScalarType dtype_of(const std::string& name, const std::string& where) {
  if (name == "F32") return at::kFloat;
  if (name == "BF16") return at::kBFloat16;
  require(name == "F64", where, "expected dtype F32, BF16 or F64, got {}", name);
  return at::kDouble;
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", dtype_name(tensor.scalar_type())},
                    {"shape", std::vector<std::int64_t>(tensor.sizes().vec())},
                    {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::ofstream out(path, std::ios::binary);
  const std::uint64_t size = text.size();
  out.write(reinterpret_cast<const char*>(&size), sizeof size);
  out << text;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor dense = tensor.contiguous();
    out.write(static_cast<const char*>(dense.data_ptr()),
              static_cast<std::streamsize>(dense.nbytes()));
  }
  out.flush();
  require(out.good(), path.string(), "expected to write {} bytes, got an I/O error (disk full?)",
          offset);
}

NamedTensors load_safetensors(const std::filesystem::path& path) {
  const std::string where = path.string();
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  require(in.good(), where, "expected a readable safetensors file");
  const auto file_size = static_cast<std::uint64_t>(in.tellg());
  in.seekg(0);
  std::uint64_t header_size = 0;
  in.read(reinterpret_cast<char*>(&header_size), sizeof header_size);
  require(in.good() && header_size <= file_size - sizeof header_size, where,
          "expected a header inside the file, got {} bytes of {}", header_size, file_size);
  std::string text(header_size, ' ');
  in.read(text.data(), static_cast<std::streamsize>(header_size));
  const std::uint64_t data = sizeof header_size + header_size;
  NamedTensors tensors;
  try {
    for (const auto& [name, entry] : nlohmann::json::parse(text).items()) {
      if (name == "__metadata__") continue;
      const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
      const auto offsets = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
      const auto type = dtype_of(entry.at("dtype").get<std::string>(), where);
      std::uint64_t bytes = at::elementSize(type);
      for (const auto n : shape) {
        require(n >= 0 && (n == 0 || bytes <= file_size / std::uint64_t(n)), where,
                "expected {} to fit the file", name);
        bytes *= std::uint64_t(n);
      }
      require(offsets.size() == 2 && offsets[0] <= offsets[1] && offsets[1] <= file_size - data &&
                  offsets[1] - offsets[0] == bytes,
              where, "expected {} bytes for {} inside the file", bytes, name);
      at::Tensor tensor = at::empty(shape, type);
      in.seekg(static_cast<std::streamoff>(data + offsets[0]));
      in.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(bytes));
      require(in.good(), where, "expected to read {}, got an I/O error", name);
      tensors.emplace(name, std::move(tensor));
    }
  } catch (const nlohmann::json::exception& error) {
    fail(where, "expected a safetensors header, got: {}", error.what());
  }
  return tensors;
}

}  // namespace massact::train
