#include "train/prepare.h"

#include <sentencepiece_trainer.h>

#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/base/units.h"
#include "massact/io/atomic_file.h"
#include "massact/io/json.h"
#include "massact/text/tokenizer.h"
#include "train/data_header.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;

// The trainer sees at most this many lines: enough for a small vocabulary, and quick.
constexpr int kTrainerLines = 300000;
constexpr std::uint64_t kMaxTextBytes = std::uint64_t{4} << 30;

/// The lines of all texts, one text after the other. Given lines and not paths, sentencepiece
/// writes none into the model.
class Lines final : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<fs::path>& texts) : texts_(texts) { Next(); }

  bool done() const override { return done_; }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

  void Next() override {
    while (!std::getline(text_, line_)) {
      check_interrupted();
      done_ = next_text_ == texts_.size();
      if (done_) return;
      text_ = std::istringstream(read_text_file(texts_[next_text_++], kMaxTextBytes));
    }
  }

 private:
  const std::vector<fs::path>& texts_;
  std::size_t next_text_ = 0;
  std::istringstream text_{std::string()};
  std::string line_;
  bool done_ = false;
};

/// Trains a BPE tokenizer with Llama's conventions: <unk> 0, <s> 1, </s> 2, byte fallback, no
/// normalisation, so that decoding gives back the text. Returns the names of its files.
std::vector<std::string> train_tokenizer(const PrepareOptions& options) {
  Lines lines(options.texts);
  std::string model;
  sentencepiece::SetRandomGeneratorSeed(static_cast<unsigned>(options.seed));
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      {{"model_type", "bpe"},
       {"vocab_size", std::to_string(options.vocab_size)},
       {"byte_fallback", "true"},
       {"character_coverage", "0.9995"},
       {"normalization_rule_name", "identity"},
       {"remove_extra_whitespaces", "false"},
       {"allow_whitespace_only_pieces", "true"},
       {"split_digits", "true"},
       {"input_sentence_size", std::to_string(kTrainerLines)},
       {"shuffle_input_sentence", "true"},
       {"num_threads", "1"},
       {"minloglevel", "2"}},
      &lines, &model);
  require(status.ok(), "prepare",
          "expected a text large enough for a vocabulary of {}, got from sentencepiece: {}",
          options.vocab_size, status.ToString());
  write_file_atomically(options.out / "tokenizer.model", model);
  // So that HF's tokenizer does what the engine does: BOS in front, text untouched.
  const nlohmann::json config = {{"tokenizer_class", "LlamaTokenizer"},
                                 {"add_bos_token", true},
                                 {"add_eos_token", false},
                                 {"bos_token", "<s>"},
                                 {"eos_token", "</s>"},
                                 {"unk_token", "<unk>"},
                                 {"legacy", false},
                                 {"clean_up_tokenization_spaces", false}};
  write_file_atomically(options.out / "tokenizer_config.json", config.dump(2) + "\n");
  return {"tokenizer.model", "tokenizer_config.json"};
}

/// Copies an existing tokenizer (and its configuration, if it stands beside it).
std::vector<std::string> copy_tokenizer(const PrepareOptions& options) {
  const fs::path source = options.tokenizer;
  if (source.extension() != ".json" && source.extension() != ".model") {
    fail_usage("--tokenizer", "expected a tokenizer.json or a .model, got {}", source.string());
  }
  std::vector<std::string> names{source.extension() == ".json" ? "tokenizer.json"
                                                               : "tokenizer.model"};
  fs::copy_file(source, options.out / names[0], fs::copy_options::overwrite_existing);
  const fs::path config = source.parent_path() / "tokenizer_config.json";
  if (fs::exists(config)) {
    fs::copy_file(config, options.out / config.filename(), fs::copy_options::overwrite_existing);
    names.push_back(config.filename().string());
  }
  return names;
}

/// BOS, or what models without one (GPT-2) put between texts.
std::int32_t first_token(const Tokenizer& tokenizer) {
  if (const auto bos = tokenizer.bos()) return *bos;
  const auto eos = tokenizer.eos();
  require(eos.has_value(), "tokenizer", "expected a BOS or an end-of-text token, got neither");
  return *eos;
}

void append_text(const fs::path& path, const Tokenizer& tokenizer, double val_fraction,
                 std::vector<std::int32_t>& train, std::vector<std::int32_t>& val) {
  const auto ids = tokenizer.encode(read_text_file(path, kMaxTextBytes)).ids;
  const auto held_out = static_cast<std::ptrdiff_t>(double(ids.size()) * val_fraction);
  train.insert(train.end(), ids.begin(), ids.end() - held_out);
  val.insert(val.end(), ids.end() - held_out, ids.end());
}

}  // namespace

void prepare(const PrepareOptions& options, const std::function<void(const std::string&)>& log) {
  if (options.texts.empty()) fail_usage("--text", "expected at least one file");
  if (!(options.val_fraction > 0 && options.val_fraction < 1)) {
    fail_usage("--val-fraction", "expected a value in (0, 1), got {}", options.val_fraction);
  }
  std::error_code error;
  fs::create_directories(options.out, error);
  require(!error, options.out.string(), "expected a folder to write, got: {}", error.message());
  DataHeader header;
  if (options.tokenizer.empty()) {
    log(fmt::format("training a BPE tokenizer of {} tokens on {} files", options.vocab_size,
                    options.texts.size()));
    header.tokenizer_files = train_tokenizer(options);
  } else {
    header.tokenizer_files = copy_tokenizer(options);
  }
  const auto tokenizer = open_tokenizer(options.out / header.tokenizer_files[0]);
  header.vocab_size = tokenizer->vocab_size();
  header.bos_id = first_token(*tokenizer);
  header.token_bytes = header.vocab_size <= std::numeric_limits<std::uint16_t>::max() + 1 ? 2 : 4;

  std::vector<std::int32_t> train, val;
  for (const auto& path : options.texts) {
    check_interrupted();
    append_text(path, *tokenizer, options.val_fraction, train, val);
  }
  require(!train.empty() && !val.empty(), "prepare",
          "expected text for training and validation, got {} and {} tokens (more text, or a larger "
          "--val-fraction)",
          train.size(), val.size());
  header.train = write_tokens(options.out / "train.bin", train, header.token_bytes);
  header.val = write_tokens(options.out / "val.bin", val, header.token_bytes);
  header.write(options.out / "data.json");
  log(fmt::format("{} tokens for training, {} for validation", format_count(train.size()),
                  format_count(val.size())));
}

}  // namespace massact::train
