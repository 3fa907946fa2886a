#include <algorithm>

#include "massact/base/error.h"
#include "massact/text/gguf_tokenizer.h"
#include "massact/text/hf_tokenizer.h"
#include "massact/text/llama2c_tokenizer.h"
#include "massact/text/sentencepiece_tokenizer.h"
#include "massact/text/tokenizer.h"
#include "massact/text/vocab_files.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

fs::path find_llama2c(const fs::path& directory) {
  if (fs::exists(directory / "tokenizer.bin")) return directory / "tokenizer.bin";
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("tok") && name.ends_with(".bin")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  require(!found.empty(), directory.string(),
          "expected tokenizer.json, tokenizer.model, spiece.model, vocab.json, "
          "bpe_simple_vocab_16e6.txt, "
          "tokenizer.bin or tok*.bin, got none of them");
  require(found.size() == 1, directory.string(), "expected one tok*.bin, got {} and {} (name one)",
          found.front().filename().string(), found.back().filename().string());
  return found[0];
}

fs::path find_in(const fs::path& directory) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json",
                           "bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt"})
    if (fs::exists(directory / name)) return directory / name;
  return find_llama2c(directory);
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& path) {
  std::error_code error;
  const fs::path file = fs::is_directory(path, error) ? find_in(path) : path;
  require(fs::exists(file, error), file.string(), "expected a tokenizer, got no such file");
  const std::string extension = file.extension().string();
  if (file.filename() == "vocab.json") return open_vocab_files(file.parent_path());
  if (file.filename().string().starts_with("bpe_simple_vocab")) return open_clip_vocabulary(file);
  if (extension == ".json") return open_hf_tokenizer(file);
  if (extension == ".model") return open_sentencepiece(file);
  if (extension == ".bin") return open_llama2c_tokenizer(file);
  if (extension == ".gguf") return open_gguf_tokenizer(file);
  fail(file.string(),
       "expected a tokenizer (.json, .model, .bin, .gguf or bpe_simple_vocab*), got extension {:?}",
       extension);
}

}  // namespace massact
