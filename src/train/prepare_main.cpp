// massact-train-prepare: text files -> tokens. Started by `massact-train prepare`.
#include "train/prepare.h"
#include "train/program.h"

namespace {

constexpr const char* kFooter = R"(
Examples:
  massact-train prepare --text books/*.txt --vocab-size 2048 --out data
  massact-train prepare --text book.txt --tokenizer gpt2/tokenizer.json --out data)";

}  // namespace

int main(int argc, char** argv) {
  using namespace massact::train;
  CLI::App app("Tokenises text files for training", "massact-train prepare");
  app.footer(kFooter);
  PrepareOptions o;
  app.add_option("--text", o.texts, "Text files")->required();
  app.add_option("--out", o.out, "Folder to write")->required();
  app.add_option("--vocab-size", o.vocab_size, "Size of the BPE vocabulary to train")
      ->capture_default_str();
  app.add_option("--tokenizer", o.tokenizer, "Take this tokenizer.json or .model instead");
  app.add_option("--val-fraction", o.val_fraction, "End of every text that is held out")
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Of the tokenizer's sampling")->capture_default_str();
  app.callback([&o] { prepare(o, say); });
  return run_program(app.get_name(), "stopped", [&] { return parse_and_run(app, argc, argv); });
}
