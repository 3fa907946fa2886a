#include "train/logits.h"

#include <span>

#include "massact/base/error.h"
#include "massact/io/npy.h"
#include "train/checkpoint.h"
#include "train/procedural.h"
#include "train/source.h"

namespace massact::train {

namespace {

at::Tensor logits_of_text(const Model& model, const std::vector<std::int64_t>& ids) {
  for (const auto id : ids) {
    if (id < 0 || id >= model.config().vocab) {
      fail_usage("--ids", "expected token ids in [0, {}), got {}", model.config().vocab, id);
    }
  }
  return model.logits(at::tensor(ids, at::kLong).unsqueeze(0))[0];
}

at::Tensor logits_of_images(const Model& model, const std::vector<std::int64_t>& numbers) {
  for (const auto number : numbers) {
    if (number < 0 || number >= kHeldOutImages) {
      fail_usage("--images", "expected numbers in [0, {}), got {}", kHeldOutImages, number);
    }
  }
  return model.logits(draw_batch(kHeldOutSeed, numbers, model.config().image_size).inputs);
}

}  // namespace

void write_logits(const LogitsOptions& options) {
  const at::NoGradGuard no_grad;
  const Model model = load_model(options.checkpoint);
  const bool vision = model.config().architecture == Architecture::vit;
  const auto& wanted = vision ? options.images : options.ids;
  const auto& other = vision ? options.ids : options.images;
  if (wanted.empty() || !other.empty()) {
    fail_usage("logits", "expected {} for {}", vision ? "--images" : "--ids",
               to_string(model.config().architecture));
  }
  const at::Tensor logits =
      (vision ? logits_of_images(model, wanted) : logits_of_text(model, wanted)).contiguous();
  write_npy(options.out, {logits.size(0), logits.size(1)},
            std::span<const float>(logits.data_ptr<float>(), std::size_t(logits.numel())));
}

}  // namespace massact::train
