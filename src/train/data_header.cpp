#include "train/data_header.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>

#include "massact/base/error.h"
#include "massact/io/atomic_file.h"
#include "massact/io/json.h"

namespace massact::train {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 1 << 20;
constexpr std::int64_t kVerifyTokens = 1 << 20;  // read at once

/// FNV-1a, 64 bits, of tokens as they stand in a file.
class Checksum {
 public:
  explicit Checksum(int token_bytes) : token_bytes_(token_bytes) {}

  void add(std::int64_t token) {
    for (int byte = 0; byte < token_bytes_; ++byte) {
      hash_ = (hash_ ^ (static_cast<std::uint64_t>(token) >> (8 * byte) & 0xff)) * 0x100000001b3ULL;
    }
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  int token_bytes_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

DataHeader::File read_file(const JsonObject& json) {
  return {json.get<std::int64_t>("tokens"), json.get<std::string>("fnv1a64")};
}

nlohmann::json to_json(const DataHeader::File& file) {
  return {{"tokens", file.tokens}, {"fnv1a64", file.checksum}};
}

}  // namespace

DataHeader DataHeader::read(const std::filesystem::path& path) {
  const auto json = JsonObject::from_file(path, kMaxHeaderBytes);
  DataHeader header;
  header.vocab_size = json.get<std::int64_t>("vocab_size");
  header.bos_id = json.get<std::int64_t>("bos_id");
  header.token_bytes = json.get<int>("token_bytes");
  header.train = read_file(json.object("train"));
  header.val = read_file(json.object("val"));
  header.tokenizer_files = json.get<std::vector<std::string>>("tokenizer_files");
  require(header.token_bytes == 2 || header.token_bytes == 4, json.where("token_bytes"),
          "expected 2 or 4, got {}", header.token_bytes);
  require(header.bos_id >= 0 && header.bos_id < header.vocab_size, json.where("bos_id"),
          "expected an id below vocab_size {}, got {}", header.vocab_size, header.bos_id);
  for (const auto& name : header.tokenizer_files) {
    require(!name.empty() && name.find('/') == std::string::npos, json.where("tokenizer_files"),
            "expected names of files in the same folder, got \"{}\"", name);
  }
  return header;
}

void DataHeader::write(const std::filesystem::path& path) const {
  const nlohmann::json json = {{"vocab_size", vocab_size},   {"bos_id", bos_id},
                               {"token_bytes", token_bytes}, {"train", to_json(train)},
                               {"val", to_json(val)},        {"tokenizer_files", tokenizer_files}};
  write_file_atomically(path, json.dump(2) + "\n");
}

DataHeader::File write_tokens(const std::filesystem::path& path,
                              const std::vector<std::int32_t>& tokens, int token_bytes) {
  Checksum checksum(token_bytes);
  std::vector<std::byte> bytes;
  bytes.reserve(tokens.size() * static_cast<std::size_t>(token_bytes));
  for (const auto token : tokens) {
    checksum.add(token);
    for (int i = 0; i < token_bytes; ++i) {
      bytes.push_back(static_cast<std::byte>(token >> (8 * i) & 0xff));
    }
  }
  AtomicFile file(path);
  file.append(std::span<const std::byte>(bytes));
  file.commit();
  return {static_cast<std::int64_t>(tokens.size()), checksum.text()};
}

void verify_tokens(const std::string& where, const TokenFile& file,
                   const DataHeader::File& expected, const DataHeader& header) {
  require(file.size() == expected.tokens, where, "expected {} tokens as data.json says, got {}",
          expected.tokens, file.size());
  Checksum checksum(header.token_bytes);
  for (std::int64_t first = 0; first < file.size(); first += kVerifyTokens) {
    for (const auto token : file.read(first, std::min(kVerifyTokens, file.size() - first))) {
      require(token < header.vocab_size, where, "expected token ids below {}, got {}",
              header.vocab_size, token);
      checksum.add(token);
    }
  }
  require(checksum.text() == expected.checksum, where,
          "expected checksum {} as data.json says, got {} (a damaged file, or not this folder's)",
          expected.checksum, checksum.text());
}

}  // namespace massact::train
