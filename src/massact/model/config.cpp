#include "massact/model/config.h"

#include <array>

#include "massact/base/error.h"
#include "massact/base/suggest.h"

namespace massact {
namespace {

constexpr std::array<std::string_view, 12> kVariants = {
    "default",      "eab",      "k-bias",     "v-bias",
    "qk-bias",      "qkv-bias", "sink-token", "softmax-off-by-one",
    "learned-sink", "gated",    "sigmoid",    "clipped-softmax"};

}  // namespace

std::string_view name_of(AttentionVariant variant) {
  return kVariants[static_cast<std::size_t>(variant)];
}

AttentionVariant parse_attention_variant(std::string_view name, std::string_view where) {
  std::vector<std::string> known;
  for (std::size_t i = 0; i < kVariants.size(); ++i) {
    if (kVariants[i] == name) return static_cast<AttentionVariant>(i);
    known.emplace_back(kVariants[i]);
  }
  fail(where, "expected an attention variant ({}), got '{}'", join(known), name);
}

}  // namespace massact
