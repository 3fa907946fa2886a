#include "train/data.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "massact/base/error.h"

namespace massact::train {
namespace {

/// SplitMix64: a well-mixed function of its argument.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t fnv1a(const void* bytes, std::size_t size) {
  const auto* p = static_cast<const unsigned char*>(bytes);
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ p[i]) * 0x100000001b3ULL;
  return hash;
}

TokenFile::TokenFile(const std::filesystem::path& path, int token_bytes)
    : token_bytes_(token_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(fd >= 0, path.string(), "expected a readable token file, got: {}", std::strerror(errno));
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0 && info.st_size > 0;
  if (known) {
    bytes_ = static_cast<std::size_t>(info.st_size);
    map_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  ::close(fd);
  if (map_ == MAP_FAILED) map_ = nullptr;
  require(map_ != nullptr, path.string(), "expected a file of tokens that can be mapped, got {}",
          known ? "a mapping failure" : "an empty file");
  count_ = static_cast<std::int64_t>(bytes_ / static_cast<std::size_t>(token_bytes));
}

TokenFile::~TokenFile() {
  if (map_ != nullptr) ::munmap(map_, bytes_);
}

TokenFile::TokenFile(TokenFile&& other) noexcept
    : map_(std::exchange(other.map_, nullptr)),
      bytes_(other.bytes_),
      token_bytes_(other.token_bytes_),
      count_(other.count_) {}

std::int64_t TokenFile::operator[](std::int64_t i) const {
  if (token_bytes_ == 2) return static_cast<const std::uint16_t*>(map_)[i];
  return static_cast<const std::uint32_t*>(map_)[i];
}

std::uint64_t TokenFile::checksum() const { return fnv1a(map_, bytes_); }

DataHeader DataHeader::read(const std::filesystem::path& path) {
  std::ifstream in(path);
  require(in.good(), path.string(),
          "expected the header that `massact-train prepare` writes, got no readable file");
  DataHeader header;
  try {
    const auto json = nlohmann::json::parse(in);
    json.at("vocab_size").get_to(header.vocab_size);
    json.at("bos_id").get_to(header.bos_id);
    json.at("token_bytes").get_to(header.token_bytes);
    json.at("train").at("tokens").get_to(header.train.tokens);
    json.at("train").at("fnv1a64").get_to(header.train.checksum);
    json.at("val").at("tokens").get_to(header.val.tokens);
    json.at("val").at("fnv1a64").get_to(header.val.checksum);
    json.at("tokenizer_files").get_to(header.tokenizer_files);
  } catch (const nlohmann::json::exception& error) {
    fail(path.string(), "expected the header of prepared data, got: {}", error.what());
  }
  require(header.token_bytes == 2 || header.token_bytes == 4, path.string(),
          "expected token_bytes 2 or 4, got {}", header.token_bytes);
  require(header.bos_id >= 0 && header.bos_id < header.vocab_size, path.string(),
          "expected 0 <= bos_id < vocab_size, got {} and {}", header.bos_id, header.vocab_size);
  return header;
}

void DataHeader::write(const std::filesystem::path& path) const {
  const nlohmann::json json = {
      {"vocab_size", vocab_size},
      {"bos_id", bos_id},
      {"token_bytes", token_bytes},
      {"train", {{"tokens", train.tokens}, {"fnv1a64", train.checksum}}},
      {"val", {{"tokens", val.tokens}, {"fnv1a64", val.checksum}}},
      {"tokenizer_files", tokenizer_files}};
  std::ofstream out(path);
  out << json.dump(2) << '\n';
  out.flush();
  require(out.good(), path.string(), "expected to write the data header, got an I/O error");
}

Dataset::Dataset(const std::filesystem::path& dir)
    : header_(DataHeader::read(dir / "data.json")),
      train_(dir / "train.bin", header_.token_bytes),
      val_(dir / "val.bin", header_.token_bytes) {
  verify(dir / "train.bin", train_, header_.train);
  verify(dir / "val.bin", val_, header_.val);
  for (const auto& name : header_.tokenizer_files) tokenizer_files_.push_back(dir / name);
}

void Dataset::verify(const std::filesystem::path& path, const TokenFile& file,
                     const DataHeader::File& expected) const {
  require(file.size() == expected.tokens, path.string(),
          "expected {} tokens as data.json says, got {}", expected.tokens, file.size());
  const std::string checksum = fmt::format("{:016x}", file.checksum());
  require(checksum == expected.checksum, path.string(),
          "expected checksum {} as data.json says, got {} (a damaged file, or not this folder's)",
          expected.checksum, checksum);
  for (std::int64_t i = 0; i < file.size(); ++i) {
    require(file[i] < header_.vocab_size, path.string(), "expected ids below {}, got {} at {}",
            header_.vocab_size, file[i], i);
  }
}

void Dataset::fill(const TokenFile& file, std::int64_t start, bool bos, std::int64_t length,
                   std::int64_t* inputs, std::int64_t* targets) const {
  // With BOS the sequence is BOS, file[start], …; else file[start], file[start+1], ….
  const std::int64_t shift = bos ? 1 : 0;
  for (std::int64_t t = 0; t < length; ++t) {
    inputs[t] = t < shift ? header_.bos_id : file[start + t - shift];
    targets[t] = file[start + t + 1 - shift];
  }
}

Batch Dataset::train_batch(std::uint64_t seed, std::int64_t first, std::int64_t count,
                           std::int64_t length, bool bos) const {
  const std::int64_t places = train_.size() - length;
  require(places >= 1, "train.bin", "expected more than {} tokens (one sequence), got {}", length,
          train_.size());
  Batch batch{at::empty({count, length}, at::kLong), at::empty({count, length}, at::kLong)};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto random = mix(mix(seed) + static_cast<std::uint64_t>(first + i));
    const auto start = static_cast<std::int64_t>(random % static_cast<std::uint64_t>(places));
    fill(train_, start, bos, length, batch.inputs.data_ptr<std::int64_t>() + i * length,
         batch.targets.data_ptr<std::int64_t>() + i * length);
  }
  return batch;
}

Batch Dataset::val_batch(std::int64_t first, std::int64_t count, std::int64_t length,
                         bool bos) const {
  const std::int64_t chunks = (val_.size() - 1) / length;
  count = std::clamp<std::int64_t>(chunks - first, 0, count);
  Batch batch{at::empty({count, length}, at::kLong), at::empty({count, length}, at::kLong)};
  for (std::int64_t i = 0; i < count; ++i) {
    fill(val_, (first + i) * length, bos, length,
         batch.inputs.data_ptr<std::int64_t>() + i * length,
         batch.targets.data_ptr<std::int64_t>() + i * length);
  }
  return batch;
}

}  // namespace massact::train
