// What most users of the library need: open a model, read a text, find its massive activations,
// observe and edit sites.
#pragma once

#include "massact/base/error.h"
#include "massact/base/progress.h"
#include "massact/model/model.h"
#include "massact/run/executor.h"
#include "massact/run/finding.h"
#include "massact/run/plan.h"
#include "massact/study/scan.h"
#include "massact/text/corpus.h"
