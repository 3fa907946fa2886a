// What decides the numbers of a report's results.
#pragma once

#include "massact/cli/report.h"
#include "massact/report/step_record.h"

namespace massact {

/// The flags in effect for this model, files by name and content. Throws UsageError for flags that
/// this model cannot be measured with, and Error for files that are not there.
Settings settings_of(const Model& model, const ReportFlags& flags);

}  // namespace massact
