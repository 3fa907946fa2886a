// The MLP's pointwise functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "massact/base/threads.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

enum class Activation : std::uint8_t {
  gelu,        ///< x Φ(x), exact (erf)
  gelu_tanh,   ///< the tanh approximation ("gelu_new", "gelu_pytorch_tanh")
  quick_gelu,  ///< x σ(1.702 x)
  silu,        ///< x σ(x)
  relu,
  relu_squared
};

std::string_view name_of(Activation activation);

/// out = f(x); in place allowed.
void activate(ConstFloatMatrix x, Activation f, FloatMatrix out, Threads& threads);

/// out = f(gate) * up (SwiGLU, GeGLU; arXiv 2002.05202); out may be gate or up.
void activate_gated(ConstFloatMatrix gate, ConstFloatMatrix up, Activation f, FloatMatrix out,
                    Threads& threads);

}  // namespace massact::ops
