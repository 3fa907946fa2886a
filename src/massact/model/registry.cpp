#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/model/family.h"

namespace massact {

const std::vector<Family>& families() {
  static const std::vector<Family> all = {gpt2_family(), llama_family(), nanogpt_family()};
  return all;
}

const Family& find_family(std::string_view model_type, std::string_view where) {
  std::vector<std::string> known;
  for (const auto& family : families()) {
    for (const auto type : family.model_types) {
      if (type == model_type) return family;
      known.emplace_back(type);
    }
  }
  fail(where, "unsupported model_type '{}' (supported: {}; nearest: {})", model_type, join(known),
       join(nearest(model_type, known, 1)));
}

}  // namespace massact
