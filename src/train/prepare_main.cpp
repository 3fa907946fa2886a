// massact-train-prepare: text files -> tokens, or procedural images -> files. Started by
// `massact-train prepare`.
#include <optional>

#include "massact/base/error.h"
#include "train/image_folder.h"
#include "train/prepare.h"
#include "train/program.h"

namespace {

constexpr const char* kFooter = R"(
Examples:
  massact-train prepare --text books/*.txt --vocab-size 2048 --out data
  massact-train prepare --text book.txt --tokenizer gpt2/tokenizer.json --out data
  massact-train prepare --images procedural --count 500 --out images)";

using namespace massact;
using namespace massact::train;

void add_text_flags(CLI::App& app, PrepareOptions& o) {
  app.add_option("--text", o.texts, "Text files");
  app.add_option("--vocab-size", o.vocab_size, "Size of the BPE vocabulary to train")
      ->capture_default_str();
  app.add_option("--tokenizer", o.tokenizer, "Take this tokenizer.json or .model instead");
  app.add_option("--val-fraction", o.val_fraction, "End of every text that is held out")
      ->capture_default_str();
}

void add_image_flags(CLI::App& app, std::string& images, ImageFolderOptions& o) {
  app.add_option("--images", images,
                 "procedural: write images of the vit's task as PNG files, a folder per class");
  app.add_option("--count", o.count, "With --images: how many")->capture_default_str();
  app.add_option("--first", o.first, "With --images: number of the first (0: as evaluations do)")
      ->capture_default_str();
  app.add_option("--image-size", o.size, "With --images: pixels per side")->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Tokenises text files for training, or writes images", "massact-train prepare");
  app.footer(kFooter);
  PrepareOptions text;
  ImageFolderOptions folder;
  std::string images;
  std::filesystem::path out;
  std::optional<std::uint64_t> seed;
  app.add_option("--out", out, "Folder to write")->required();
  add_text_flags(app, text);
  add_image_flags(app, images, folder);
  app.add_option("--seed", seed,
                 "Of the tokenizer's sampling (default: 1), or of the images (default: 0)");
  app.callback([&] {
    text.out = folder.out = out;
    text.seed = seed.value_or(text.seed);
    folder.seed = seed.value_or(folder.seed);
    if (images.empty()) return prepare(text, say);
    if (images != "procedural" || !text.texts.empty()) {
      fail_usage("--images", "expected procedural, and no --text");
    }
    write_image_folder(folder, say);
  });
  return run_program(app.get_name(), "stopped", [&] { return parse_and_run(app, argc, argv); });
}
