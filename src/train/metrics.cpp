#include "train/metrics.h"

#include <nlohmann/json.hpp>
#include <string>

#include "massact/base/error.h"
#include "massact/io/atomic_file.h"

namespace massact::train {
namespace {

/// The lines of `path` that a run at `step` has already written.
std::string kept_lines(const std::filesystem::path& path, std::int64_t step) {
  std::ifstream in(path);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const auto record = nlohmann::json::parse(line, nullptr, false);
    const bool ours = record.is_object() && record.contains("step") &&
                      record["step"].is_number_integer() &&
                      record["step"].get<std::int64_t>() <= step;
    if (ours) kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path, std::int64_t step) : path_(path) {
  write_file_atomically(path, kept_lines(path, step));
  out_.open(path, std::ios::app);
  require(out_.good(), path.string(), "expected a writable file");
}

void MetricsLog::append(const nlohmann::json& record) {
  out_ << record.dump() << '\n' << std::flush;
  require(out_.good(), path_.string(), "expected to append a record (disk full?)");
}

}  // namespace massact::train
