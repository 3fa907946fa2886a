#include "train/prepare.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/base/units.h"
#include "train/data.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;

// The trainer sees at most this many lines: enough for a small vocabulary, and quick.
constexpr int kTrainerSentences = 300000;

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  require(in.good(), path.string(), "expected a readable text file");
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  require(!in.bad(), path.string(), "expected a readable text file, got an I/O error");
  return text;
}

/// Trains a BPE tokenizer with Llama's conventions: <unk> 0, <s> 1, </s> 2, byte fallback, no
/// normalisation, so that decoding gives back the text.
void train_tokenizer(const PrepareOptions& options, const fs::path& model) {
  std::string inputs;
  for (const auto& text : options.texts) {
    require(text.string().find(',') == std::string::npos, text.string(),
            "expected a path without a comma (sentencepiece's separator)");
    inputs += (inputs.empty() ? "" : ",") + text.string();
  }
  fs::path prefix = model;
  prefix.replace_extension();
  sentencepiece::SetRandomGeneratorSeed(static_cast<unsigned>(options.seed));
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      {{"input", inputs},
       {"model_prefix", prefix.string()},
       {"model_type", "bpe"},
       {"vocab_size", std::to_string(options.vocab_size)},
       {"byte_fallback", "true"},
       {"character_coverage", "0.9995"},
       {"normalization_rule_name", "identity"},
       {"remove_extra_whitespaces", "false"},
       {"allow_whitespace_only_pieces", "true"},
       {"split_digits", "true"},
       {"input_sentence_size", std::to_string(kTrainerSentences)},
       {"shuffle_input_sentence", "true"},
       {"num_threads", "1"},
       {"minloglevel", "2"}});
  require(status.ok(), "prepare",
          "expected a text large enough for a vocabulary of {}, got from sentencepiece: {}",
          options.vocab_size, status.ToString());
  fs::remove(prefix.string() + ".vocab");
}

void write_tokens(const fs::path& path, const std::vector<std::uint32_t>& tokens, int token_bytes,
                  DataHeader::File& file) {
  std::vector<std::uint16_t> narrow;
  const void* bytes = tokens.data();
  if (token_bytes == 2) {
    narrow.assign(tokens.begin(), tokens.end());
    bytes = narrow.data();
  }
  const std::size_t size = tokens.size() * static_cast<std::size_t>(token_bytes);
  std::ofstream out(path, std::ios::binary);
  out.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  out.flush();
  require(out.good(), path.string(), "expected to write {}, got an I/O error", format_bytes(size));
  file.tokens = static_cast<std::int64_t>(tokens.size());
  file.checksum = fmt::format("{:016x}", fnv1a(bytes, size));
}

/// So that HF's tokenizer does what the engine does: BOS in front, text untouched.
void write_tokenizer_config(const fs::path& path) {
  const nlohmann::json json = {
      {"tokenizer_class", "LlamaTokenizer"}, {"add_bos_token", true},  {"add_eos_token", false},
      {"bos_token", "<s>"},                  {"eos_token", "</s>"},    {"unk_token", "<unk>"},
      {"legacy", false},                     {"clean_up_tokenization_spaces", false}};
  std::ofstream out(path);
  out << json.dump(2) << '\n';
  out.flush();
  require(out.good(), path.string(), "expected to write the tokenizer's configuration");
}

}  // namespace

void prepare(const PrepareOptions& options, const std::function<void(const std::string&)>& log) {
  if (options.texts.empty()) fail_usage("--text", "expected at least one file");
  if (!(options.val_fraction > 0 && options.val_fraction < 1)) {
    fail_usage("--val-fraction", "expected a value in (0, 1), got {}", options.val_fraction);
  }
  fs::create_directories(options.out);
  const fs::path model = options.out / "tokenizer.model";
  if (options.tokenizer.empty()) {
    log(fmt::format("training a BPE tokenizer of {} tokens on {} files", options.vocab_size,
                    options.texts.size()));
    train_tokenizer(options, model);
  } else {
    fs::copy_file(options.tokenizer, model, fs::copy_options::overwrite_existing);
  }
  sentencepiece::SentencePieceProcessor tokenizer;
  const auto status = tokenizer.Load(model.string());
  require(status.ok(), model.string(), "expected a sentencepiece model, got: {}",
          status.ToString());
  require(tokenizer.bos_id() >= 0, model.string(), "expected a tokenizer with a BOS token");
  write_tokenizer_config(options.out / "tokenizer_config.json");

  DataHeader header;
  header.vocab_size = tokenizer.GetPieceSize();
  header.bos_id = tokenizer.bos_id();
  header.token_bytes = header.vocab_size <= std::numeric_limits<std::uint16_t>::max() + 1 ? 2 : 4;
  header.tokenizer_files = {"tokenizer.model", "tokenizer_config.json"};
  std::vector<std::uint32_t> train, val;
  std::size_t bytes = 0;
  for (const auto& path : options.texts) {
    check_interrupted();
    const std::string text = read_text(path);
    bytes += text.size();
    const std::vector<int> ids = tokenizer.EncodeAsIds(text);
    const auto held_out = static_cast<std::ptrdiff_t>(double(ids.size()) * options.val_fraction);
    train.insert(train.end(), ids.begin(), ids.end() - held_out);
    val.insert(val.end(), ids.end() - held_out, ids.end());
  }
  require(!train.empty() && !val.empty(), "prepare",
          "expected text for training and validation, got {} and {} tokens (more text, or a larger "
          "--val-fraction)",
          train.size(), val.size());
  write_tokens(options.out / "train.bin", train, header.token_bytes, header.train);
  write_tokens(options.out / "val.bin", val, header.token_bytes, header.val);
  header.write(options.out / "data.json");
  log(fmt::format("{} of text: {} tokens for training, {} for validation ({:.2f} bytes per token)",
                  format_bytes(bytes), format_count(train.size()), format_count(val.size()),
                  double(bytes) / double(train.size() + val.size())));
}

}  // namespace massact::train
