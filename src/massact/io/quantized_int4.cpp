// GPTQ and AWQ: small unsigned integers in int32 words, with a scale and a zero point per group of
// inputs and per output: weight = scale · (q - zero).
#include <array>

#include "massact/base/error.h"
#include "massact/io/little_endian.h"
#include "massact/io/quantized_formats.h"

namespace massact {
namespace {

constexpr std::int64_t kWordBits = 32;
constexpr std::int64_t kLargestGroup = std::int64_t{1} << 31;

// Words of unsigned integers, row by row.
struct PackedWords {
  const std::byte* data = nullptr;
  std::int64_t columns = 0;  // words per row
  std::int64_t bits = 4;

  std::int64_t per_word() const { return kWordBits / bits; }
  // Field number `field` of the word.
  int at(std::int64_t row, std::int64_t column, std::int64_t field) const {
    std::uint32_t word = 0;
    std::memcpy(&word, data + (row * columns + column) * 4, sizeof word);
    return static_cast<int>((word >> (field * bits)) & ((1u << bits) - 1));
  }
};

float half_at(const TensorView& view, std::int64_t index) {
  float value = 0;
  read_floats(view, index, 1, &value);
  return value;
}

void require_rank_two(const WeightSource& files, const std::string& name) {
  const Shape& shape = files.info(name).shape;
  require(shape.rank() == 2 && shape[0] >= 1 && shape[1] >= 1, name, "expected a matrix, got {}",
          shape.to_string());
}

// The scales may be f16, bf16 or f32: whatever the file has.
TensorView scales_of(QuantizedTensor& tensor, const WeightSource& files, const std::string& stem,
                     std::int64_t groups, std::int64_t outputs) {
  const std::string name = stem + ".scales";
  const TensorInfo* info = files.find(name);
  return part_of(tensor, files, name, info ? info->type : DType::f16, {groups, outputs});
}

std::int64_t group_count(const JsonObject& config, std::int64_t inputs, std::int64_t group_size) {
  require(group_size >= 1 && group_size <= kLargestGroup, config.where("group_size"),
          "expected 1 to {} or -1, got {}", kLargestGroup, group_size);
  return (inputs + group_size - 1) / group_size;
}

class GptqTensor final : public QuantizedTensor {
 public:
  GptqTensor(const WeightSource& files, const std::string& stem, const JsonObject& config) {
    const auto bits = config.get<std::int64_t>("bits");
    require(bits == 2 || bits == 4 || bits == 8, config.where("bits"),
            "expected 2, 4 or 8 bits, got {}", bits);
    require_rank_two(files, stem + ".qweight");
    const Shape& packed = files.info(stem + ".qweight").shape;
    const std::int64_t inputs = packed[0] * (kWordBits / bits), outputs = packed[1];
    auto group_size = config.get<std::int64_t>("group_size");
    if (group_size == -1) group_size = inputs;
    const std::int64_t groups = group_count(config, inputs, group_size);
    info.name = stem + ".weight";
    info.shape = {outputs, inputs};
    info.encoding = fmt::format("GPTQ {}-bit", bits);
    weights_ = {part_of(*this, files, stem + ".qweight", DType::i32, packed).data, outputs, bits};
    const std::int64_t zero_words = (outputs * bits + kWordBits - 1) / kWordBits;
    zeros_ = {part_of(*this, files, stem + ".qzeros", DType::i32, {groups, zero_words}).data,
              zero_words, bits};
    scales_ = scales_of(*this, files, stem, groups, outputs);
    // The first format stores each zero point less one.
    zero_offset_ = config.get_or<std::string>("checkpoint_format", "gptq") == "gptq_v2" ? 0 : 1;
    read_groups(files, stem, group_size, groups);
  }

  void read_row(std::int64_t row, float* out) const override {
    const std::int64_t inputs = info.shape[1], outputs = info.shape[0];
    const std::int64_t per_word = weights_.per_word();
    const auto groups = static_cast<std::int64_t>(scales_.shape[0]);
    std::vector<std::pair<float, int>> group(static_cast<std::size_t>(groups));
    for (std::int64_t g = 0; g < groups; ++g) {
      group[static_cast<std::size_t>(g)] = {
          half_at(scales_, g * outputs + row),
          zeros_.at(g, row / per_word, row % per_word) + zero_offset_};
    }
    for (std::int64_t k = 0; k < inputs; ++k) {
      const auto& [scale, zero] =
          group[static_cast<std::size_t>(group_of_[static_cast<std::size_t>(k)])];
      out[k] = scale * static_cast<float>(weights_.at(k / per_word, row, k % per_word) - zero);
    }
  }

 private:
  // Which group an input belongs to: listed if columns were reordered ("desc_act").
  void read_groups(const WeightSource& files, const std::string& stem, std::int64_t group_size,
                   std::int64_t groups) {
    const std::int64_t inputs = info.shape[1];
    group_of_.resize(static_cast<std::size_t>(inputs));
    if (files.find(stem + ".g_idx") == nullptr) {
      for (std::int64_t k = 0; k < inputs; ++k) {
        group_of_[static_cast<std::size_t>(k)] = static_cast<std::int32_t>(k / group_size);
      }
      return;
    }
    const TensorView view = part_of(*this, files, stem + ".g_idx", DType::i32, {inputs});
    std::memcpy(group_of_.data(), view.data, view.byte_count());
    for (const std::int32_t group : group_of_) {
      require(group >= 0 && group < groups, stem + ".g_idx", "expected groups from 0 to {}, got {}",
              groups - 1, group);
    }
  }

  PackedWords weights_, zeros_;
  TensorView scales_;
  int zero_offset_ = 1;
  std::vector<std::int32_t> group_of_;
};

// The place in a word of output number 0 … 7 of its eight.
constexpr std::array<std::int64_t, 8> kAwqField = {0, 4, 1, 5, 2, 6, 3, 7};

class AwqTensor final : public QuantizedTensor {
 public:
  AwqTensor(const WeightSource& files, const std::string& stem, const JsonObject& config) {
    require_rank_two(files, stem + ".qweight");
    const Shape& packed = files.info(stem + ".qweight").shape;
    const std::int64_t inputs = packed[0], words = packed[1], outputs = words * 8;
    group_size_ = config.get<std::int64_t>("group_size");
    if (group_size_ == -1) group_size_ = inputs;
    const std::int64_t groups = group_count(config, inputs, group_size_);
    info.name = stem + ".weight";
    info.shape = {outputs, inputs};
    info.encoding = "AWQ 4-bit";
    weights_ = {part_of(*this, files, stem + ".qweight", DType::i32, packed).data, words, 4};
    zeros_ = {part_of(*this, files, stem + ".qzeros", DType::i32, {groups, words}).data, words, 4};
    scales_ = scales_of(*this, files, stem, groups, outputs);
  }

  void read_row(std::int64_t row, float* out) const override {
    const std::int64_t word = row / 8, field = kAwqField[static_cast<std::size_t>(row % 8)];
    float scale = 0;
    int zero = 0;
    for (std::int64_t k = 0; k < info.shape[1]; ++k) {
      if (k % group_size_ == 0) {
        scale = half_at(scales_, k / group_size_ * info.shape[0] + row);
        zero = zeros_.at(k / group_size_, word, field);
      }
      out[k] = scale * static_cast<float>(weights_.at(k, word, field) - zero);
    }
  }

 private:
  std::int64_t group_size_ = 1;
  PackedWords weights_, zeros_;
  TensorView scales_;
};

}  // namespace

QuantizedTensors find_gptq(const WeightSource& files, const JsonObject& config) {
  const auto format = config.get_or<std::string>("checkpoint_format", "gptq");
  require(format == "gptq" || format == "gptq_v2", config.where("checkpoint_format"),
          "expected gptq or gptq_v2, got '{}'", format);
  QuantizedTensors found;
  for (const std::string& stem : stems(files, ".qweight")) {
    found.push_back(std::make_unique<GptqTensor>(files, stem, config));
  }
  return found;
}

QuantizedTensors find_awq(const WeightSource& files, const JsonObject& config) {
  const auto bits = config.get_or<std::int64_t>("bits", 4);
  require(bits == 4, config.where("bits"), "expected 4 bits, got {}", bits);
  const auto version = config.get_or<std::string>("version", "gemm");
  require(version == "gemm" || version == "GEMM", config.where("version"),
          "expected the layout 'gemm', got '{}'", version);
  QuantizedTensors found;
  for (const std::string& stem : stems(files, ".qweight")) {
    found.push_back(std::make_unique<AwqTensor>(files, stem, config));
  }
  return found;
}

}  // namespace massact
