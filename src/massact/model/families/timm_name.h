// What timm's names of vision transformers say: "vit_base_patch14_reg4_dinov2".
#pragma once

#include <cstdint>
#include <string_view>

#include "massact/ops/activation.h"

namespace massact {

struct TimmArchitecture {
  std::int64_t width = 0, layers = 0, heads = 0;
  double mlp_ratio = 4.0;
  std::int64_t patch = 16;
  std::int64_t image = 0;  ///< pixels of a side; 0: the name does not say
  bool own_image_size =
      false;  ///< set by the caller: `image` goes before what weights were trained on
  std::int64_t class_tokens = 1;
  std::int64_t registers = 0;
  bool class_has_position = true;
  bool clip = false;  ///< a norm before the first block, a patch projection without bias
  bool layer_scale = false;
  bool swiglu = false;
  ops::Activation activation = ops::Activation::gelu;
};

/// Reads "vit_SIZE_patchN…" and "deit_SIZE…" with the parts reg4, clip, quickgelu, siglip, dinov2,
/// distilled and the image size; what follows a dot (the weights' origin) does not matter. Throws
/// Error naming `where` and the first part that it does not know.
TimmArchitecture timm_architecture(std::string_view name, std::string_view where);

}  // namespace massact
