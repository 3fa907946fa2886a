#include "fuzz/targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "massact/base/error.h"
#include "massact/image/decode.h"
#include "massact/image/preprocess.h"
#include "massact/io/file_descriptor.h"
#include "massact/io/gguf.h"
#include "massact/io/json.h"
#include "massact/io/llama2c.h"
#include "massact/io/npy.h"
#include "massact/io/pickle.h"
#include "massact/io/safetensors.h"
#include "massact/io/torch_checkpoint.h"
#include "massact/model/family.h"
#include "massact/model/gguf_model.h"
#include "massact/text/gguf_tokenizer.h"
#include "massact/text/hf_tokenizer.h"

namespace massact::fuzz {
namespace {

// A regular file that lives in memory only.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view contents) : file_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (::write(file_.get(), contents.data(), contents.size()) !=
        static_cast<ssize_t>(contents.size())) {
      throw std::runtime_error("cannot write a file in memory");
    }
  }
  std::filesystem::path path() const { return fmt::format("/proc/self/fd/{}", file_.get()); }

 private:
  FileDescriptor file_;
};

// A value that the compiler must compute.
void consume(double value) {
  volatile double sink = value;
  static_cast<void>(sink);
}

// Reads every tensor whole, as a view and as floats: an accepted file must be readable.
void read_everything(const WeightSource& source) {
  std::vector<float> values;
  for (const TensorInfo& tensor : source.tensors()) {
    if (tensor.viewable) {
      const TensorView view = source.view(tensor.name);
      const auto bytes = std::span(view.data, view.byte_count());
      consume(static_cast<double>(std::count(bytes.begin(), bytes.end(), std::byte{1})));
    }
    const std::int64_t count = tensor.shape.element_count();
    values.resize(static_cast<std::size_t>(count));
    try {
      source.read(tensor.name, 0, count, values.data());
    } catch (const Error&) {
      // Integer tensors have no values as floats.
    }
  }
}

void safetensors(std::string_view input) {
  const MemoryFile file(input);
  read_everything(*open_safetensors(file.path()));
}

void llama2c(std::string_view input) {
  const MemoryFile file(input);
  read_everything(*open_llama2c(file.path()).weights);
}

template <typename Action>
void ignoring_errors(Action action) {
  try {
    action();
  } catch (const Error&) {
    // A value of another kind than asked for.
  }
}

void gguf(std::string_view input) {
  const MemoryFile file(input);
  const std::shared_ptr<const GgufSource> source = open_gguf(file.path());
  read_everything(*source);
  const GgufMetadata& metadata = source->metadata();
  for (const std::string& key : metadata.keys()) {
    ignoring_errors([&] { metadata.get<int>(key); });
    ignoring_errors([&] { metadata.get<double>(key); });
    ignoring_errors([&] { metadata.get<bool>(key); });
    ignoring_errors([&] { metadata.get<std::string>(key); });
    ignoring_errors([&] { metadata.get<std::vector<std::int64_t>>(key); });
    ignoring_errors([&] { metadata.get<std::vector<float>>(key); });
    ignoring_errors([&] { metadata.get<std::vector<std::string>>(key); });
  }
  // The model and the vocabulary that they describe.
  ignoring_errors([&] {
    const GgufArchitecture model = read_gguf_architecture(*source);
    BoundWeights::bind(model.table, source, model.config.layers);
  });
  ignoring_errors([&] {
    const auto tokenizer = open_gguf_tokenizer(file.path());
    tokenizer->decode(tokenizer->encode("The caf\u00e9's 42 lamps\n").ids);
  });
}

void npy(std::string_view input) {
  const MemoryFile file(input);
  const IntegerArray array = read_npy_integers(file.path());
  if (static_cast<std::int64_t>(array.values.size()) != array.shape.element_count()) {
    throw std::logic_error("an array of another size than its shape says");
  }
}

void use_object(const JsonObject& object) {
  for (const std::string& key : object.keys()) {
    ignoring_errors([&] { object.get<int>(key); });
    ignoring_errors([&] { object.get<std::uint64_t>(key); });
    ignoring_errors([&] { object.get<float>(key); });
    ignoring_errors([&] { object.get<bool>(key); });
    ignoring_errors([&] { object.get<std::string>(key); });
    ignoring_errors([&] { object.get<std::vector<std::int64_t>>(key); });
    ignoring_errors([&] { object.get<std::vector<double>>(key); });
    ignoring_errors([&] { object.get<std::vector<std::string>>(key); });
    const nlohmann::json* field = object.find(key);
    if (field && field->is_object()) use_object(object.object(key));
  }
}

void json(std::string_view input) {
  const nlohmann::json value = parse_json(input, "input");
  // What was accepted is valid JSON with valid UTF-8: it can be written and read again.
  if (parse_json(value.dump(), "again") != value) {
    throw std::logic_error("JSON changes when it is written and read again");
  }
  if (value.is_object()) use_object(JsonObject(value, "input"));
}

void config(std::string_view input) {
  const JsonObject document(parse_json(input, "config.json"), "config.json");
  const Family& family =
      find_family(document.get<std::string>("model_type"), document.where("model_type"));
  const ModelConfig model = family.read_config(document);
  const WeightTable table = family.weights(model);
  if (table.specs.empty()) throw std::logic_error("a model without weights");
}

void tokenizer(std::string_view input) {
  const JsonObject document(parse_json(input, "tokenizer.json"), "tokenizer.json");
  const auto tokens = read_hf_tokenizer(document, nullptr);
  const std::string_view text = " ab a!b <s>A1234\n\xc3\xa9\xff\xe2\x96\x81 x";
  const Encoding encoding = tokens->encode(text);
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    const ByteSpan& span = encoding.spans.at(i);
    const bool inside = 0 <= span.begin && span.begin <= span.end &&
                        span.end <= static_cast<std::int64_t>(text.size());
    if (!inside) throw std::logic_error("a token outside of the text");
    tokens->token_text(encoding.ids[i]);
  }
  tokens->decode(encoding.ids);
}

void torch(std::string_view input) {
  const MemoryFile file(input);
  const TorchCheckpoint checkpoint = open_torch_checkpoint(file.path());
  read_everything(*checkpoint.weights);
  consume(static_cast<double>(checkpoint.values.size()));
}

void pickle(std::string_view input) {
  constexpr std::array<std::string_view, 1> kAllowed = {"collections.OrderedDict"};
  const Pickle value(std::as_bytes(std::span(input)), "input", kAllowed);
  for (const PickleValue* item : value.root().items)
    consume(static_cast<double>(item->items.size()));
  if (const PickleValue* found = value.root().find("a")) consume(found->real);
}

void image(std::string_view input) {
  constexpr std::int64_t kMaxPixels = 1 << 16;  // so that a fuzzer gets through many
  const Image picture = decode_image(std::as_bytes(std::span(input)), "input", kMaxPixels);
  if (static_cast<std::int64_t>(picture.rgb.size()) != picture.width * picture.height * 3) {
    throw std::logic_error("a picture of another size than it says");
  }
  Preprocess steps;
  steps.resize = Preprocess::Resize::shortest_edge;
  steps.resize_to = steps.crop = {8, 8};
  std::vector<float> pixels(3 * 8 * 8);
  preprocess_image(picture, steps, pixels);
  consume(pixels.front());
}

constexpr std::array kTargets = std::to_array<Target>({{"safetensors", safetensors},
                                                       {"llama2c", llama2c},
                                                       {"gguf", gguf},
                                                       {"npy", npy},
                                                       {"json", json},
                                                       {"config", config},
                                                       {"tokenizer", tokenizer},
                                                       {"torch", torch},
                                                       {"pickle", pickle},
                                                       {"image", image}});

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace massact::fuzz
