// Values that are not finite end a run with an error that says where, and why if it can be seen.
#pragma once

#include "massact/base/threads.h"
#include "massact/run/dispatch.h"
#include "massact/run/plan.h"

namespace massact {

/// Throws Error if a value of `values`, the batch's rows at `site`, is NaN or infinite. Names site,
/// layer, sequence, position, dimension, and the weights there that are not finite.
void require_finite(ConstFloatMatrix values, const Plan& plan, Site site, int stream,
                    const Batch& batch, Threads& threads);

}  // namespace massact
