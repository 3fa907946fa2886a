#include "massact/io/gguf_quants.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace massact {
namespace {

// Blocks are unaligned, and offsets into them are bytes. In every function the order of the
// floating-point operations is the format's reference order: results are compared bit for bit.

float half_at(const std::uint8_t* at) {
  Float16 half;
  std::memcpy(&half, at, sizeof(half));
  return to_float(half);
}

std::uint32_t bits32_at(const std::uint8_t* at) {
  std::uint32_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return bits;
}

int low_nibble(std::uint8_t byte) { return byte & 0xf; }
int high_nibble(std::uint8_t byte) { return byte >> 4; }

// --- 32 values: scale (and minimum) as halves, then the packed integers. A byte holds value j in
// --- its low nibble and value j + 16 in its high nibble.

void dequantize_q8_0(const std::uint8_t* block, float* values) {
  const float scale = half_at(block);
  for (int j = 0; j < 32; ++j) {
    values[j] = scale * static_cast<float>(static_cast<std::int8_t>(block[2 + j]));
  }
}

void dequantize_q4_0(const std::uint8_t* block, float* values) {
  const float scale = half_at(block);
  for (int j = 0; j < 16; ++j) {
    values[j] = scale * static_cast<float>(low_nibble(block[2 + j]) - 8);
    values[j + 16] = scale * static_cast<float>(high_nibble(block[2 + j]) - 8);
  }
}

void dequantize_q4_1(const std::uint8_t* block, float* values) {
  const float scale = half_at(block);
  const float minimum = half_at(block + 2);
  for (int j = 0; j < 16; ++j) {
    values[j] = scale * static_cast<float>(low_nibble(block[4 + j])) + minimum;
    values[j + 16] = scale * static_cast<float>(high_nibble(block[4 + j])) + minimum;
  }
}

// Bit j of `fifth` is the highest bit of value j.
int with_fifth_bit(int nibble, std::uint32_t fifth, int j) {
  return nibble | static_cast<int>((fifth >> j) & 1) << 4;
}

void dequantize_q5_0(const std::uint8_t* block, float* values) {
  const float scale = half_at(block);
  const std::uint32_t fifth = bits32_at(block + 2);
  for (int j = 0; j < 16; ++j) {
    const int low = with_fifth_bit(low_nibble(block[6 + j]), fifth, j);
    const int high = with_fifth_bit(high_nibble(block[6 + j]), fifth, j + 16);
    values[j] = scale * static_cast<float>(low - 16);
    values[j + 16] = scale * static_cast<float>(high - 16);
  }
}

void dequantize_q5_1(const std::uint8_t* block, float* values) {
  const float scale = half_at(block);
  const float minimum = half_at(block + 2);
  const std::uint32_t fifth = bits32_at(block + 4);
  for (int j = 0; j < 16; ++j) {
    const int low = with_fifth_bit(low_nibble(block[8 + j]), fifth, j);
    const int high = with_fifth_bit(high_nibble(block[8 + j]), fifth, j + 16);
    values[j] = scale * static_cast<float>(low) + minimum;
    values[j + 16] = scale * static_cast<float>(high) + minimum;
  }
}

// --- 256 values in rows of 32. Rows r = 4n + s take two bits at 2s of the bytes of half n.

void dequantize_q2_k(const std::uint8_t* block, float* values) {
  const std::uint8_t* scales =
      block;  // per 16 values: scale in the low, minimum in the high nibble
  const std::uint8_t* quants = block + 16;
  const float scale = half_at(block + 80);
  const float minimum = half_at(block + 82);
  for (int i = 0; i < 256; ++i) {
    const int row = i / 32;
    const int quant = (quants[row / 4 * 32 + i % 32] >> (2 * (row % 4))) & 3;
    const float group_scale = scale * static_cast<float>(low_nibble(scales[i / 16]));
    const float group_minimum = minimum * static_cast<float>(high_nibble(scales[i / 16]));
    values[i] = group_scale * static_cast<float>(quant) - group_minimum;
  }
}

// Sixteen 6-bit scales in 12 bytes: nibbles in the first 8, the upper pairs of bits in the last 4.
int q3_k_scale(const std::uint8_t* scales, int group) {
  const int low = group < 8 ? low_nibble(scales[group]) : high_nibble(scales[group - 8]);
  const int high = (scales[8 + group % 4] >> (2 * (group / 4))) & 3;
  return (low | high << 4) - 32;
}

void dequantize_q3_k(const std::uint8_t* block, float* values) {
  const std::uint8_t* mask = block;  // bit r of byte j: value j of row r is not lowered by 4
  const std::uint8_t* quants = block + 32;
  const std::uint8_t* scales = block + 96;
  const float scale = half_at(block + 108);
  for (int i = 0; i < 256; ++i) {
    const int row = i / 32;
    const int low = (quants[row / 4 * 32 + i % 32] >> (2 * (row % 4))) & 3;
    const int lowered = (mask[i % 32] >> row) & 1 ? 0 : 4;
    const float group_scale = scale * static_cast<float>(q3_k_scale(scales, i / 16));
    values[i] = group_scale * static_cast<float>(low - lowered);
  }
}

struct ScaleAndMinimum {
  float scale;
  float minimum;
};

// Eight 6-bit scales and minima in 12 bytes: 0 to 3 whole, 4 to 7 as nibbles whose upper two bits
// fill the tops of the first eight bytes.
ScaleAndMinimum k_scale(const std::uint8_t* block, int row) {
  const std::uint8_t* packed = block + 4;
  int scale = packed[row % 4] & 63;
  int minimum = packed[4 + row % 4] & 63;
  if (row >= 4) {
    scale = low_nibble(packed[4 + row]) | (packed[row - 4] >> 6) << 4;
    minimum = high_nibble(packed[4 + row]) | (packed[row] >> 6) << 4;
  }
  return {half_at(block) * static_cast<float>(scale),
          half_at(block + 2) * static_cast<float>(minimum)};
}

// Rows 2c and 2c + 1 are the low and high nibbles of 32 bytes.
int nibble_of_row(const std::uint8_t* quants, int row, int column) {
  return (quants[row / 2 * 32 + column] >> (4 * (row % 2))) & 0xf;
}

void dequantize_q4_k(const std::uint8_t* block, float* values) {
  const std::uint8_t* quants = block + 16;
  for (int row = 0; row < 8; ++row) {
    const auto [scale, minimum] = k_scale(block, row);
    for (int j = 0; j < 32; ++j) {
      values[row * 32 + j] = scale * static_cast<float>(nibble_of_row(quants, row, j)) - minimum;
    }
  }
}

void dequantize_q5_k(const std::uint8_t* block, float* values) {
  const std::uint8_t* fifth = block + 16;  // bit r of byte j: highest bit of value j of row r
  const std::uint8_t* quants = block + 48;
  for (int row = 0; row < 8; ++row) {
    const auto [scale, minimum] = k_scale(block, row);
    for (int j = 0; j < 32; ++j) {
      const int quant = nibble_of_row(quants, row, j) | ((fifth[j] >> row) & 1) << 4;
      values[row * 32 + j] = scale * static_cast<float>(quant) - minimum;
    }
  }
}

void dequantize_q6_k(const std::uint8_t* block, float* values) {
  const std::uint8_t* low_bits = block;
  const std::uint8_t* high_bits = block + 128;
  const std::uint8_t* scales = block + 192;
  const float scale = half_at(block + 208);
  for (int i = 0; i < 256; ++i) {
    // Half n has rows 0 to 3: low nibbles of 64 bytes, then their high nibbles.
    const int half = i / 128;
    const int row = i / 32 % 4;
    const int low = (low_bits[half * 64 + i % 64] >> (4 * (row / 2))) & 0xf;
    const int high = (high_bits[half * 32 + i % 32] >> (2 * row)) & 3;
    const float group_scale = scale * static_cast<float>(static_cast<std::int8_t>(scales[i / 16]));
    values[i] = group_scale * static_cast<float>((low | high << 4) - 32);
  }
}

// --- Nibbles that index a table of values.

constexpr std::array<float, 16> kNonLinear = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};
// Twice the values of a 4-bit float with 2 exponent bits (OCP MX); negative zero reads as zero.
constexpr std::array<float, 16> kE2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void look_up(const std::uint8_t* quants, float scale, const std::array<float, 16>& table,
             float* values) {
  for (int j = 0; j < 16; ++j) {
    values[j] = scale * table[static_cast<std::size_t>(low_nibble(quants[j]))];
    values[j + 16] = scale * table[static_cast<std::size_t>(high_nibble(quants[j]))];
  }
}

void dequantize_iq4_nl(const std::uint8_t* block, float* values) {
  look_up(block + 2, half_at(block), kNonLinear, values);
}

void dequantize_iq4_xs(const std::uint8_t* block, float* values) {
  const float scale = half_at(block);
  const int high_scales = block[2] | block[3] << 8;
  const std::uint8_t* low_scales = block + 4;
  for (int row = 0; row < 8; ++row) {
    const int low = (low_scales[row / 2] >> (4 * (row % 2))) & 0xf;
    const int high = (high_scales >> (2 * row)) & 3;
    const float row_scale = scale * static_cast<float>((low | high << 4) - 32);
    look_up(block + 8 + row * 16, row_scale, kNonLinear, values + row * 32);
  }
}

void dequantize_mxfp4(const std::uint8_t* block, float* values) {
  // Half of 2^(e - 127), because the table is doubled; the two smallest are subnormal.
  const std::uint32_t exponent = block[0];
  const std::uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23;
  look_up(block + 1, std::bit_cast<float>(bits), kE2M1, values);
}

constexpr std::array kTypes = std::to_array<GgufType>({
    {0, "F32", 1, 4, DType::f32, nullptr},
    {1, "F16", 1, 2, DType::f16, nullptr},
    {2, "Q4_0", 32, 18, DType::f32, dequantize_q4_0},
    {3, "Q4_1", 32, 20, DType::f32, dequantize_q4_1},
    {6, "Q5_0", 32, 22, DType::f32, dequantize_q5_0},
    {7, "Q5_1", 32, 24, DType::f32, dequantize_q5_1},
    {8, "Q8_0", 32, 34, DType::f32, dequantize_q8_0},
    {10, "Q2_K", 256, 84, DType::f32, dequantize_q2_k},
    {11, "Q3_K", 256, 110, DType::f32, dequantize_q3_k},
    {12, "Q4_K", 256, 144, DType::f32, dequantize_q4_k},
    {13, "Q5_K", 256, 176, DType::f32, dequantize_q5_k},
    {14, "Q6_K", 256, 210, DType::f32, dequantize_q6_k},
    {20, "IQ4_NL", 32, 18, DType::f32, dequantize_iq4_nl},
    {23, "IQ4_XS", 256, 136, DType::f32, dequantize_iq4_xs},
    {24, "I8", 1, 1, DType::i8, nullptr},
    {25, "I16", 1, 2, DType::i16, nullptr},
    {26, "I32", 1, 4, DType::i32, nullptr},
    {27, "I64", 1, 8, DType::i64, nullptr},
    {28, "F64", 1, 8, DType::f64, nullptr},
    {30, "BF16", 1, 2, DType::bf16, nullptr},
    {39, "MXFP4", 32, 17, DType::f32, dequantize_mxfp4},
});

static_assert(std::all_of(kTypes.begin(), kTypes.end(), [](const GgufType& type) {
  return type.block_elements <= kMaxGgufBlock;
}));

}  // namespace

std::span<const GgufType> gguf_types() { return kTypes; }

const GgufType* find_gguf_type(std::uint32_t id) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const GgufType& type) { return type.id == id; });
  return found == kTypes.end() ? nullptr : &*found;
}

}  // namespace massact
