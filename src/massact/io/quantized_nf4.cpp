// bitsandbytes 4-bit: codes of 16 values, a largest magnitude per block, which may be quantised
// once more ("nested", double quantisation).
#include <algorithm>
#include <array>
#include <optional>

#include "massact/base/error.h"
#include "massact/io/quantized_formats.h"

namespace massact {
namespace {

constexpr std::int64_t kLargestBlock = 1 << 20;
constexpr std::string_view kState = ".quant_state.bitsandbytes__";

class BitsAndBytesTensor final : public QuantizedTensor {
 public:
  BitsAndBytesTensor(const WeightSource& files, const std::string& name, const std::string& type) {
    info.name = name;
    info.encoding = type == "nf4" ? "NF4" : "FP4";
    const JsonObject state = read_state(files, name, type);
    info.shape = Shape(state.get<std::vector<std::int64_t>>("shape"));
    require(info.shape.rank() == 2 && info.shape[0] >= 1 && info.shape[1] >= 1,
            state.where("shape"), "expected a matrix, got {}", info.shape.to_string());
    block_ = positive(state, "blocksize");
    const std::int64_t count = info.shape.element_count(name);
    codes_ = part_of(*this, files, name, DType::u8, {(count + 1) / 2, 1}).data;
    const TensorView map = part_of(*this, files, name + ".quant_map", DType::f32, {16});
    read_floats(map, 0, 16, map_.data());
    const std::int64_t blocks = (count + block_ - 1) / block_;
    if (state.has("nested_blocksize")) {
      read_nested(files, name, state, blocks);
    } else {
      absmax_ = part_of(*this, files, name + ".absmax", DType::f32, {blocks});
    }
  }

  void read_row(std::int64_t row, float* out) const override {
    const std::int64_t columns = info.shape[1], first = row * columns;
    for (std::int64_t i = first; i < first + columns;) {
      const std::int64_t end = std::min((i / block_ + 1) * block_, first + columns);
      const float largest = absmax(i / block_);
      for (; i < end; ++i) {
        const auto pair = std::to_integer<std::size_t>(codes_[i / 2]);
        const std::size_t code = i % 2 == 0 ? pair >> 4 : pair & 15;  // the high half first
        *out++ = map_[code] * largest;
      }
    }
  }

 private:
  // A tensor of bytes that are JSON.
  JsonObject read_state(const WeightSource& files, const std::string& name,
                        const std::string& type) {
    const std::string state = name + std::string(kState) + type;
    const TensorInfo& tensor = files.info(state);
    const TensorView view = part_of(*this, files, state, DType::u8, tensor.shape);
    const std::string_view text(reinterpret_cast<const char*>(view.data), view.byte_count());
    const std::string where = files.description() + ": " + state;
    return {parse_json(text, where), where};
  }

  static std::int64_t positive(const JsonObject& state, std::string_view field) {
    const auto value = state.get<std::int64_t>(field);
    require(value >= 1 && value <= kLargestBlock, state.where(field), "expected 1 to {}, got {}",
            kLargestBlock, value);
    return value;
  }

  void read_nested(const WeightSource& files, const std::string& name, const JsonObject& state,
                   std::int64_t blocks) {
    Nested nested;
    nested.block = positive(state, "nested_blocksize");
    nested.offset = state.get<float>("nested_offset");
    const std::int64_t groups = (blocks + nested.block - 1) / nested.block;
    absmax_ = part_of(*this, files, name + ".absmax", DType::u8, {blocks});
    read_floats(part_of(*this, files, name + ".nested_quant_map", DType::f32, {256}), 0, 256,
                nested.map.data());
    nested.absmax = part_of(*this, files, name + ".nested_absmax", DType::f32, {groups});
    nested_ = nested;
  }

  // The largest magnitude of a block. From the file whenever it is needed: all of them are 1/64 of
  // the weight's elements.
  float absmax(std::int64_t block) const {
    float value = 0.0f;
    if (!nested_) {
      read_floats(absmax_, block, 1, &value);
      return value;
    }
    read_floats(nested_->absmax, block / nested_->block, 1, &value);
    return nested_->map[std::to_integer<std::size_t>(absmax_.data[block])] * value +
           nested_->offset;
  }

  // How the largest magnitudes are quantised themselves.
  struct Nested {
    std::int64_t block = 1;
    float offset = 0.0f;
    std::array<float, 256> map{};
    TensorView absmax;
  };

  std::int64_t block_ = 1;
  const std::byte* codes_ = nullptr;
  std::array<float, 16> map_{};
  TensorView absmax_;  // one per block; codes of them if nested
  std::optional<Nested> nested_;
};

}  // namespace

QuantizedTensors find_bitsandbytes(const WeightSource& files, const JsonObject& config) {
  require(config.get_or<bool>("load_in_4bit", false), config.where("load_in_4bit"),
          "expected a 4-bit bitsandbytes model (load_in_4bit), got another kind");
  QuantizedTensors found;
  for (const std::string type : {"nf4", "fp4"}) {
    for (const std::string& name : stems(files, std::string(kState) + type)) {
      found.push_back(std::make_unique<BitsAndBytesTensor>(files, name, type));
    }
  }
  return found;
}

}  // namespace massact
