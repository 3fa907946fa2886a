#include "massact/io/torch_script.h"

#include "massact/base/error.h"

namespace massact {
namespace {

using Kind = PickleValue::Kind;

constexpr int kMaxDepth = 64;
// A small pickle may repeat one module without end.
constexpr std::size_t kMaxAttributes = 100'000;

class ModuleWalk {
 public:
  explicit ModuleWalk(const TorchArchive& archive) : archive_(archive) {}

  void visit(const PickleValue& module, const std::string& prefix, int depth) {
    require(depth < kMaxDepth, archive_.name(), "expected modules nested less than {} deep",
            kMaxDepth);
    // State that is no dict is what a class of its own made of itself.
    if (module.items.size() != 2 || !module.items[1]->is(Kind::dict)) return;
    const auto& attributes = module.items[1]->items;
    for (std::size_t i = 0; i + 1 < attributes.size(); i += 2) {
      require(++seen_ <= kMaxAttributes, archive_.name(), "expected at most {} attributes",
              kMaxAttributes);
      if (!attributes[i]->is(Kind::text)) continue;
      const std::string name = tensor_name(attributes[i]->text, archive_.name(), prefix);
      const PickleValue& value = *attributes[i + 1];
      if (value.is(Kind::object)) {
        visit(value, name + ".", depth + 1);
      } else if (const PickleValue* tensor = as_tensor(value)) {
        tensors_.push_back(archive_.place(*tensor, name));
      }
    }
  }
  std::vector<MappedTensor> take() { return std::move(tensors_); }

 private:
  const TorchArchive& archive_;
  std::vector<MappedTensor> tensors_;
  std::size_t seen_ = 0;
};

}  // namespace

std::vector<MappedTensor> script_tensors(const TorchArchive& archive, const PickleValue& root) {
  require(root.is(Kind::object), archive.name(),
          "expected a TorchScript module in data.pkl, got something else");
  ModuleWalk walk(archive);
  walk.visit(root, "", 0);
  std::vector<MappedTensor> tensors = walk.take();
  require(!tensors.empty(), archive.name(), "expected tensors in the TorchScript module, got none");
  return tensors;
}

}  // namespace massact
