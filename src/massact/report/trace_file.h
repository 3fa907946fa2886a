// Raw values of sites in a file that Python reads.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "massact/run/executor.h"

namespace massact {

/// Runs the sequences and writes the values of `sites`, in f32, to a safetensors file that appears
/// only when it is whole. Each site is a tensor of its own name, shaped [sequences, …] as in
/// docs/sites.md; beside them "tokens" [sequences, positions] in i32. Memory does not grow with the
/// file. Throws UsageError unless all sequences have the same length, Error for what `run` meets.
RunReport write_trace(const Model& model, std::vector<Plan::Tokens> sequences,
                      const std::vector<Site>& sites, const std::filesystem::path& out,
                      const std::map<std::string, std::string>& metadata,
                      const RunOptions& options, Progress& progress);

}  // namespace massact
