// massact-train-prepare: text files -> tokens. Started by `massact-train prepare`.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "train/prepare.h"

int main(int argc, char** argv) {
  using namespace massact;
  std::signal(SIGINT, [](int) { request_interrupt(); });
  std::signal(SIGTERM, [](int) { request_interrupt(); });
  CLI::App app("Tokenises text files for training", "massact-train prepare");
  train::PrepareOptions o;
  app.add_option("--text", o.texts, "Text files")->required();
  app.add_option("--out", o.out, "Folder to write")->required();
  app.add_option("--vocab-size", o.vocab_size, "Size of the BPE vocabulary to train")
      ->capture_default_str();
  app.add_option("--tokenizer", o.tokenizer, "Take this tokenizer.json or .model instead");
  app.add_option("--val-fraction", o.val_fraction, "End of every text that is held out")
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Of the tokenizer's sampling")->capture_default_str();
  const auto say = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  try {
    app.parse(argc, argv);
    train::prepare(o, say);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const UsageError& error) {
    say(error.what());
    return 2;
  } catch (const Interrupted&) {
    say("stopped");
    return 130;
  } catch (const std::exception& error) {
    say(error.what());
    return 1;
  }
  return 0;
}
