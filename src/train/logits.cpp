#include "train/logits.h"

#include <span>

#include "massact/base/error.h"
#include "massact/io/npy.h"
#include "train/checkpoint.h"

namespace massact::train {

void write_logits(const LogitsOptions& options) {
  const at::NoGradGuard no_grad;
  const Model model = load_model(options.checkpoint);
  for (const auto id : options.ids) {
    if (id < 0 || id >= model.config().vocab) {
      fail_usage("--ids", "expected token ids in [0, {}), got {}", model.config().vocab, id);
    }
  }
  const at::Tensor logits =
      model.logits(at::tensor(options.ids, at::kLong).unsqueeze(0))[0].contiguous();
  write_npy(options.out, {logits.size(0), logits.size(1)},
            std::span<const float>(logits.data_ptr<float>(), std::size_t(logits.numel())));
}

}  // namespace massact::train
