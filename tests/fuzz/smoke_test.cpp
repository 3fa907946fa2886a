// Every target over its seeds (hand-made files and findings of longer runs) and over thousands of
// reproducible mutations of them. Most telling under ASan and UBSan.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "fuzz/targets.h"
#include "massact/base/error.h"
#include "paths.h"

namespace massact::fuzz {
namespace {

constexpr int kMutations = 3000;

std::vector<std::filesystem::path> seed_files(const char* target) {
  std::vector<std::filesystem::path> files;
  const std::filesystem::path folder = testing_support::source_folder() / "tests/fuzz/seeds";
  for (const auto& file : std::filesystem::directory_iterator(folder / target)) {
    files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// One to four small changes: what a damaged or forged file has.
class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string mutate(std::string bytes, const std::string& other) {
    for (std::size_t i = 0, changes = 1 + below(4); i < changes; ++i) change(bytes, other);
    return bytes;
  }

  std::size_t below(std::size_t limit) { return limit ? random_() % limit : 0; }

 private:
  void change(std::string& bytes, const std::string& other) {
    const std::size_t at = below(bytes.size());
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<char>(random_());
        break;
      case 2:
        return overwrite_with_extreme(bytes, at);
      case 3:
        bytes.erase(at, 1 + below(8));
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(16)));
        break;
      default:
        bytes = bytes.substr(0, at) + other.substr(below(other.size()));
        break;
    }
  }

  // Numbers at which sums and products go wrong, over 1 to 8 bytes.
  void overwrite_with_extreme(std::string& bytes, std::size_t at) {
    const std::uint64_t power = std::uint64_t{1} << below(64);
    const std::uint64_t value = below(2) ? power : power - 1;
    const std::size_t width = std::size_t{1} << below(4);
    for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i) {
      bytes[at + i] = static_cast<char>(value >> (8 * i));
    }
  }

  std::mt19937 random_;
};

enum class Outcome { accepted, refused };

Outcome run(const Target& target, const std::string& input) {
  try {
    target.run(input);
    return Outcome::accepted;
  } catch (const Error&) {
    return Outcome::refused;
  }
}

class Fuzz : public testing::TestWithParam<Target> {};

TEST_P(Fuzz, SeedsBehaveAsTheirNamesSay) {
  const auto files = seed_files(GetParam().name);
  ASSERT_FALSE(files.empty());
  for (const auto& file : files) {
    const bool valid = file.filename().string().starts_with("valid");
    EXPECT_EQ(run(GetParam(), contents(file)), valid ? Outcome::accepted : Outcome::refused)
        << file;
  }
}

TEST_P(Fuzz, MutationsAreReadOrRefused) {
  std::vector<std::string> seeds;
  for (const auto& file : seed_files(GetParam().name)) seeds.push_back(contents(file));
  Mutator mutator(1);
  int refused = 0;
  for (int i = 0; i < kMutations; ++i) {
    const std::string& seed = seeds[mutator.below(seeds.size())];
    const std::string& other = seeds[mutator.below(seeds.size())];
    refused += run(GetParam(), mutator.mutate(seed, other)) == Outcome::refused;
  }
  EXPECT_GT(refused, 0) << "no mutation touched anything that is checked";
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& case_info) { return std::string(case_info.param.name); });

}  // namespace
}  // namespace massact::fuzz
