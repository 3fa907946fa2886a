#include "massact/io/quantized_weights.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "massact/base/error.h"
#include "massact/io/quantized_formats.h"

namespace massact {
namespace {

class DequantizedWeights final : public WeightSource {
 public:
  DequantizedWeights(std::shared_ptr<const WeightSource> files, QuantizedTensors quantized)
      : files_(std::move(files)) {
    std::set<std::string, std::less<>> parts;
    for (auto& tensor : quantized) {
      parts.insert(tensor->parts.begin(), tensor->parts.end());
      tensor->info.viewable = false;
      tensor->info.type = DType::f32;
      tensor->info.bytes = 0;
      for (const auto& part : tensor->parts) tensor->info.bytes += files_->info(part).bytes;
      tensors_.push_back(tensor->info);
      std::string name = tensor->info.name;
      quantized_[std::move(name)] = std::move(tensor);
    }
    for (const TensorInfo& tensor : files_->tensors()) {
      if (!parts.contains(tensor.name)) tensors_.push_back(tensor);
    }
    std::sort(tensors_.begin(), tensors_.end(),
              [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
    for (std::size_t i = 1; i < tensors_.size(); ++i) {
      require(tensors_[i].name != tensors_[i - 1].name, description(),
              "expected each weight once, got {} quantised and plain", tensors_[i].name);
    }
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::string description() const override { return files_->description(); }
  std::uint64_t file_bytes() const override { return files_->file_bytes(); }

  TensorView view(std::string_view name) const override {
    const QuantizedTensor* tensor = find_quantized(name);
    require(tensor == nullptr, name,
            "expected a tensor of plain elements, got {} (read it instead)",
            tensor ? tensor->info.encoding : "");
    return files_->view(info(name).name);
  }

  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    const QuantizedTensor* tensor = find_quantized(name);
    if (!tensor) return files_->read(info(name).name, first, count, out);
    const std::int64_t size = tensor->info.shape.element_count(name);
    require(first >= 0 && count >= 0 && first <= size && count <= size - first, name,
            "expected a range inside its {} elements, got {} elements from element {}", size, count,
            first);
    const std::int64_t columns = tensor->info.shape.extents().back();
    std::vector<float> row;
    while (count > 0) {
      const std::int64_t column = first % columns, taken = std::min(columns - column, count);
      if (taken == columns) {
        tensor->read_row(first / columns, out);
      } else {
        row.resize(static_cast<std::size_t>(columns));
        tensor->read_row(first / columns, row.data());
        std::copy_n(row.data() + column, taken, out);
      }
      first += taken;
      count -= taken;
      out += taken;
    }
  }

  void will_need(std::string_view name) const override {
    for_parts(name, [&](std::string_view part) { files_->will_need(part); });
  }
  void release(std::string_view name) const override {
    for_parts(name, [&](std::string_view part) { files_->release(part); });
  }

 private:
  const QuantizedTensor* find_quantized(std::string_view name) const {
    const auto found = quantized_.find(name);
    return found == quantized_.end() ? nullptr : found->second.get();
  }

  template <typename Action>
  void for_parts(std::string_view name, const Action& action) const {
    const QuantizedTensor* tensor = find_quantized(name);
    if (!tensor) return action(name);
    for (const std::string& part : tensor->parts) action(part);
  }

  std::shared_ptr<const WeightSource> files_;
  std::map<std::string, std::unique_ptr<QuantizedTensor>, std::less<>> quantized_;
  std::vector<TensorInfo> tensors_;
};

struct Format {
  std::string_view method;
  QuantizedTensors (*find)(const WeightSource&, const JsonObject&);
};

constexpr std::array kFormats = std::to_array<Format>({{"fp8", find_fp8},
                                                       {"gptq", find_gptq},
                                                       {"awq", find_awq},
                                                       {"bitsandbytes", find_bitsandbytes},
                                                       {"mxfp4", find_mxfp4}});

}  // namespace

TensorView part_of(QuantizedTensor& tensor, const WeightSource& files, const std::string& name,
                   DType type, const Shape& shape) {
  const TensorInfo* info = files.find(name);
  require(info != nullptr, files.description(), "expected tensor {} for the quantised {}, got none",
          name, tensor.info.name);
  require(info->type == type && info->shape == shape && info->viewable, name,
          "expected {} {} for the quantised {}, got {} {}", name_of(type), shape.to_string(),
          tensor.info.name, name_of(info->type), info->shape.to_string());
  tensor.parts.push_back(name);
  return files.view(name);
}

std::vector<std::string> stems(const WeightSource& files, std::string_view ending) {
  std::vector<std::string> found;
  for (const TensorInfo& tensor : files.tensors()) {
    if (tensor.name.size() > ending.size() && tensor.name.ends_with(ending)) {
      found.push_back(tensor.name.substr(0, tensor.name.size() - ending.size()));
    }
  }
  return found;
}

std::shared_ptr<const WeightSource> dequantize(std::shared_ptr<const WeightSource> files,
                                               const JsonObject& config) {
  const auto method = config.get<std::string>("quant_method");
  std::string known;
  for (const Format& format : kFormats) {
    if (format.method == method) {
      QuantizedTensors tensors = format.find(*files, config);
      return std::make_shared<DequantizedWeights>(std::move(files), std::move(tensors));
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", format.method);
  }
  fail(config.where("quant_method"), "expected one of {}, got '{}'", known, method);
}

}  // namespace massact
