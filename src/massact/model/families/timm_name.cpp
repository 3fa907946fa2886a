#include "massact/model/families/timm_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "massact/base/error.h"

namespace massact {
namespace {

struct Size {
  std::string_view name;
  std::int64_t width, layers, heads;
  double mlp_ratio;
};

constexpr std::array<Size, 9> kSizes = {{{"tiny", 192, 12, 3, 4.0},
                                         {"small", 384, 12, 6, 4.0},
                                         {"medium", 512, 12, 8, 4.0},
                                         {"base", 768, 12, 12, 4.0},
                                         {"large", 1024, 24, 16, 4.0},
                                         {"huge", 1280, 32, 16, 4.0},
                                         {"giant", 1408, 40, 16, 48.0 / 11},
                                         {"gigantic", 1664, 48, 16, 64.0 / 13},
                                         {"so400m", 1152, 27, 16, 3.7362}}};

std::vector<std::string_view> split(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = name.find('_');
    parts.push_back(name.substr(0, end));
    if (end == std::string_view::npos) return parts;
    name.remove_prefix(end + 1);
  }
}

// The number behind `prefix`, or -1.
std::int64_t number_behind(std::string_view prefix, std::string_view part) {
  std::int64_t value = -1;
  if (!part.starts_with(prefix)) return -1;
  part.remove_prefix(prefix.size());
  const auto [end, status] = std::from_chars(part.data(), part.data() + part.size(), value);
  const bool whole = status == std::errc() && end == part.data() + part.size();
  return whole && value >= 1 && value <= 1 << 16 ? value : -1;
}

// DINOv2's giant is not the other giants.
void make_dinov2(bool giant, TimmArchitecture& a) {
  a.layer_scale = true;
  if (a.registers > 0) a.class_has_position = false;
  if (!giant) return;
  a.width = 1536;
  a.heads = 24;
  a.mlp_ratio = 2.66667 * 2;
  a.swiglu = true;
  a.activation = ops::Activation::silu;
}

// True if the part is known.
bool apply(std::string_view part, bool giant, TimmArchitecture& a) {
  if (const auto patch = number_behind("patch", part); patch > 0) {
    a.patch = patch;
  } else if (const auto registers = number_behind("reg", part); registers > 0) {
    a.registers = registers;
  } else if (const auto image = number_behind("", part); image > 0) {
    a.image = image;
  } else if (part == "clip") {
    a.clip = true;
  } else if (part == "quickgelu") {
    a.activation = ops::Activation::quick_gelu;
  } else if (part == "siglip") {
    a.class_tokens = 0;
  } else if (part == "dinov2") {
    make_dinov2(giant, a);
  } else if (part == "distilled") {
    a.class_tokens = 2;
  } else {
    return false;
  }
  return true;
}

}  // namespace

TimmArchitecture timm_architecture(std::string_view name, std::string_view where) {
  const auto parts = split(name.substr(0, name.find('.')));
  const bool known = parts.size() >= 2 && (parts[0] == "vit" || parts[0] == "deit");
  const auto size = std::find_if(kSizes.begin(), kSizes.end(),
                                 [&](const Size& one) { return known && one.name == parts[1]; });
  require(size != kSizes.end(), where,
          "expected an architecture of timm's named vit_SIZE… or deit_SIZE… (tiny, small, medium, "
          "base, large, huge, giant, gigantic, so400m), got '{}'",
          name);
  TimmArchitecture a;
  a.width = size->width;
  a.layers = size->layers;
  a.heads = size->heads;
  a.mlp_ratio = size->mlp_ratio;
  for (std::size_t i = 2; i < parts.size(); ++i) {
    require(apply(parts[i], size->name == "giant", a), where,
            "expected parts patchN, regN, clip, quickgelu, siglip, dinov2, distilled or an image "
            "size in timm's name, got '{}' in '{}'",
            parts[i], name);
  }
  return a;
}

}  // namespace massact
