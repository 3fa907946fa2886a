#include "train/export.h"

#include <system_error>

#include "massact/base/error.h"
#include "massact/io/json.h"
#include "train/checkpoint.h"

namespace massact::train {

void export_checkpoint(const ExportOptions& options) {
  namespace fs = std::filesystem;
  const Model model = load_model(options.checkpoint);
  const auto config = JsonObject::from_file(options.checkpoint / "config.json", 1 << 20);
  std::error_code error;
  fs::create_directories(options.out, error);
  require(!error, options.out.string(), "expected a folder to write, got: {}", error.message());
  const bool text = model.config().architecture != Architecture::vit;
  const int bos_id = text ? config.get<int>("bos_token_id") : 0;
  save_model(model, options.out, options.bf16 ? at::kBFloat16 : at::kFloat, bos_id);
  for (const auto& entry : fs::directory_iterator(options.checkpoint)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("tokenizer")) continue;
    fs::copy_file(entry.path(), options.out / name, fs::copy_options::overwrite_existing, error);
    require(!error, (options.out / name).string(), "expected to copy this file, got: {}",
            error.message());
  }
}

}  // namespace massact::train
