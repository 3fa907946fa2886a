#include "massact/report/result_dir.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <system_error>

#include "massact/base/error.h"
#include "massact/io/atomic_file.h"
#include "massact/io/json.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSchemaPrefix = "massact.";
constexpr std::string_view kPlanSchema = "massact.edit-plan";

// A result says its schema and its model's hash; plans of edits belong to no model, and other
// people's JSON files are none of our business.
void require_same_model(const fs::path& file, std::string_view model_hash) {
  const JsonObject result = JsonObject::from_file(file, kMaxResultBytes);
  if (!result.has("schema")) return;
  const auto schema = result.get<std::string>("schema");
  if (!schema.starts_with(kSchemaPrefix) || schema == kPlanSchema) return;
  const JsonObject model = result.object("model");
  const auto hash = model.get<std::string>("hash");
  require(hash == model_hash, file.string(),
          "expected results of this model ({}), got those of another: {} ({}) (choose another "
          "--out, or overwrite with --force)",
          model_hash, model.get<std::string>("path"), hash);
}

// The nearest directory that is there already must let us write.
void require_writable(const fs::path& path) {
  std::error_code error;
  fs::path there = fs::absolute(path, error);
  require(
      !error, path.string(),
      "expected a path within the current directory, which is gone (change to one that exists)");
  // One without permission has no type that shows; access() says why.
  const auto type = [&] { return fs::status(there, error).type(); };
  while (type() == fs::file_type::not_found && there.has_relative_path()) {
    there = there.parent_path();
  }
  require(type() == fs::file_type::directory || type() == fs::file_type::none, path.string(),
          "expected a directory, got a file: {}", there.string());
  // Before the message is put together: arguments may be evaluated in any order.
  const int denied = access(there.c_str(), W_OK | X_OK) == 0 ? 0 : errno;
  require(denied == 0, path.string(), "expected a directory to write to, got: {}",
          std::strerror(denied));
}

}  // namespace

ResultDir::ResultDir(fs::path path, std::string_view model_hash, bool force)
    : path_(std::move(path)) {
  require_writable(path_);
  if (force || !fs::is_directory(path_)) return;
  for (const auto& entry : fs::directory_iterator(path_)) {
    if (entry.path().extension() == ".json" && entry.is_regular_file()) {
      require_same_model(entry.path(), model_hash);
    }
  }
}

void ResultDir::write(const std::vector<ResultFile>& files) const {
  std::error_code error;
  fs::create_directories(path_, error);
  require(!error, path_.string(), "expected to create this directory, got: {}", error.message());
  std::deque<AtomicFile> written;
  for (const ResultFile& file : files) written.emplace_back(path_ / file.name).append(file.text);
  for (AtomicFile& file : written) file.commit();
}

}  // namespace massact
