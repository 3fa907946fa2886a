// bf16 matrix products with float32 everything else, for the lifetime of an object.
#pragma once

#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace massact::train {

/// Turns libtorch's autocast to bfloat16 on for `device` while it lives (if `enabled`).
class Autocast {
 public:
  Autocast(at::Device device, bool enabled) : device_(device), enabled_(enabled) {
    if (enabled_) set(true);
  }
  ~Autocast() {
    if (!enabled_) return;
    set(false);
    at::autocast::clear_cache();
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  void set(bool on) const {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    at::autocast::set_autocast_dtype(device_.type(), at::kBFloat16);
    at::autocast::set_autocast_enabled(device_.type(), on);
#else
    if (device_.is_cuda()) {
      at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
      at::autocast::set_enabled(on);
    } else {
      at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
      at::autocast::set_cpu_enabled(on);
    }
#endif
  }

  at::Device device_;
  bool enabled_;
};

}  // namespace massact::train
