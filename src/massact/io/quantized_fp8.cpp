// Block-scaled floats: FP8 with a scale per tile, MXFP4 with a power of two per 32 values.
#include <array>
#include <cmath>

#include "massact/base/error.h"
#include "massact/io/quantized_formats.h"

namespace massact {
namespace {

constexpr std::int64_t kLargestTile = 1 << 20;

std::int64_t tiles(std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; }

// All 256 values of E4M3.
const std::array<float, 256>& e4m3_values() {
  static const auto values = [] {
    std::array<float, 256> all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = to_float(Float8E4M3{static_cast<std::uint8_t>(i)});
    }
    return all;
  }();
  return values;
}

class Fp8Tensor final : public QuantizedTensor {
 public:
  Fp8Tensor(const WeightSource& files, const std::string& name, std::int64_t tile_rows,
            std::int64_t tile_columns)
      : tile_rows_(tile_rows), tile_columns_(tile_columns) {
    const TensorInfo& weight = files.info(name);
    require(weight.shape.rank() == 2, name, "expected a matrix in FP8, got {}",
            weight.shape.to_string());
    info.name = name;
    info.shape = weight.shape;
    info.encoding = fmt::format("FP8 E4M3 ({}x{})", tile_rows, tile_columns);
    weight_ = part_of(*this, files, name, DType::f8_e4m3, weight.shape).data;
    const Shape scales = {tiles(weight.shape[0], tile_rows), tiles(weight.shape[1], tile_columns)};
    const std::string scale_name = name + "_scale_inv";
    // Some checkpoints keep the scales in BF16.
    scales_ = part_of(*this, files, scale_name, files.info(scale_name).type, scales);
  }

  void read_row(std::int64_t row, float* out) const override {
    const std::int64_t columns = info.shape[1], per_row = tiles(columns, tile_columns_);
    const std::byte* values = weight_ + row * columns;
    for (std::int64_t tile = 0; tile < per_row; ++tile) {
      float scale = 0;
      read_floats(scales_, row / tile_rows_ * per_row + tile, 1, &scale);
      const std::int64_t end = std::min(columns, (tile + 1) * tile_columns_);
      for (std::int64_t c = tile * tile_columns_; c < end; ++c) {
        out[c] = e4m3_values()[std::to_integer<std::size_t>(values[c])] * scale;
      }
    }
  }

 private:
  std::int64_t tile_rows_, tile_columns_;
  const std::byte* weight_ = nullptr;
  TensorView scales_;
};

// E2M1: sign, two bits of exponent, one of mantissa.
constexpr std::array<float, 16> kE2m1 = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                         -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
constexpr std::int64_t kMxBytes = 16;  // of 32 values
constexpr int kMxBias = 127;

// [experts, rows, groups, 16] of bytes stand for [experts, rows, 32 · groups].
class Mxfp4Tensor final : public QuantizedTensor {
 public:
  Mxfp4Tensor(const WeightSource& files, const std::string& name) {
    const Shape& blocks = files.info(name + "_blocks").shape;
    require(blocks.rank() == 4 && blocks[3] == kMxBytes && blocks[2] >= 1, name + "_blocks",
            "expected [experts, rows, groups, {}], got {}", kMxBytes, blocks.to_string());
    info.name = name;
    info.shape = {blocks[0], blocks[1], blocks[2] * 2 * kMxBytes};
    info.encoding = "MXFP4";
    groups_ = blocks[2];
    blocks_ = part_of(*this, files, name + "_blocks", DType::u8, blocks).data;
    scales_ =
        part_of(*this, files, name + "_scales", DType::u8, {blocks[0], blocks[1], blocks[2]}).data;
  }

  void read_row(std::int64_t row, float* out) const override {
    for (std::int64_t group = row * groups_; group < (row + 1) * groups_; ++group) {
      const int exponent = std::to_integer<int>(scales_[group]) - kMxBias;
      for (std::int64_t i = 0; i < kMxBytes; ++i) {
        const auto pair = std::to_integer<std::size_t>(blocks_[group * kMxBytes + i]);
        *out++ = std::ldexp(kE2m1[pair & 15], exponent);
        *out++ = std::ldexp(kE2m1[pair >> 4], exponent);
      }
    }
  }

 private:
  std::int64_t groups_ = 0;
  const std::byte* blocks_ = nullptr;
  const std::byte* scales_ = nullptr;
};

}  // namespace

QuantizedTensors find_fp8(const WeightSource& files, const JsonObject& config) {
  const auto format = config.get_or<std::string>("fmt", "e4m3");
  require(format == "e4m3", config.where("fmt"), "expected e4m3, got '{}'", format);
  const auto block = config.get<std::vector<std::int64_t>>("weight_block_size");
  const auto fits = [](std::int64_t size) { return size >= 1 && size <= kLargestTile; };
  require(block.size() == 2 && fits(block[0]) && fits(block[1]), config.where("weight_block_size"),
          "expected [rows, columns] from 1 to {}", kLargestTile);
  QuantizedTensors found;
  for (const std::string& name : stems(files, "_scale_inv")) {
    if (!name.ends_with(".weight")) continue;
    found.push_back(std::make_unique<Fp8Tensor>(files, name, block[0], block[1]));
  }
  return found;
}

QuantizedTensors find_mxfp4(const WeightSource& files, const JsonObject&) {
  QuantizedTensors found;
  for (const std::string& name : stems(files, "_blocks")) {
    found.push_back(std::make_unique<Mxfp4Tensor>(files, name));
  }
  return found;
}

}  // namespace massact
