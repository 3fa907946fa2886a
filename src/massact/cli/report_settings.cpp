#include "massact/cli/report_settings.h"

#include <filesystem>
#include <fstream>

#include "massact/base/error.h"
#include "massact/cli/default_text.h"
#include "massact/report/fnv_hash.h"
#include "massact/report/version.h"
#include "massact/run/finding.h"
#include "massact/study/image_input.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 1 << 20;
// Of a large file its beginning and size: sequences are read from the start.
constexpr std::size_t kMostPieces = 64;

std::string file_in_words(const std::string& path) {
  require(fs::is_regular_file(path), path, "expected a file, got none");
  std::ifstream file(path, std::ios::binary);
  require(file.is_open(), path, "expected a file to read, got one that cannot be opened");
  FnvHash hash;
  std::string piece(kPiece, '\0');
  for (std::size_t i = 0; i < kMostPieces && file; ++i) {
    file.read(piece.data(), static_cast<std::streamsize>(kPiece));
    hash.add(piece.data(), static_cast<std::size_t>(file.gcount()));
  }
  hash.add(fmt::format("{}", fs::file_size(path)));
  return fmt::format("{} [{}]", fs::path(path).filename().string(), hash.digits());
}

std::string given_file(const std::string& path) { return path.empty() ? "" : file_in_words(path); }

std::string texts_in_words(const std::vector<std::string>& paths) {
  if (paths.empty()) {
    FnvHash hash;
    hash.add(default_text());
    return fmt::format("the text that ships with massact [{}]", hash.digits());
  }
  std::string list;
  for (const std::string& path : paths) {
    if (path == "-") {
      fail_usage("--text",
                 "expected files: report reads the text once for every step, got "
                 "standard input");
    }
    list += (list.empty() ? "" : ", ") + file_in_words(path);
  }
  return list;
}

// By name, size and label: reading all of them would take as long as measuring.
std::string images_in_words(const std::vector<std::string>& paths) {
  const std::vector<fs::path> from(paths.begin(), paths.end());
  const ImageList list = list_images(from);
  FnvHash hash;
  for (const ImageEntry& entry : list.entries) {
    std::error_code ignored;
    hash.add(fmt::format("{} {} {}", entry.path.filename().string(),
                         fs::file_size(entry.path, ignored), entry.label.value_or(-1)));
  }
  return fmt::format("{} files [{}]", list.entries.size(), hash.digits());
}

// A directory by where it lies.
std::string tokenizer_in_words(const std::string& path) {
  if (path.empty() || fs::is_regular_file(path)) return given_file(path);
  return fs::weakly_canonical(path).string();
}

void add_images(Settings& settings, const ReportFlags& flags) {
  const ImageFlags images = images_of(flags);
  settings.emplace_back("--images", images_in_words(images.paths));
  settings.emplace_back("--max-images",
                        images.max_images > 0 ? fmt::format("{}", images.max_images) : "");
  settings.emplace_back("--skip-bad", images.skip_bad ? "given" : "");
  settings.emplace_back("--class-names", given_file(images.class_names));
  settings.emplace_back("--templates", given_file(images.templates));
  settings.emplace_back("--head", given_file(images.head));
}

void add_text(Settings& settings, const Model& model, const ReportFlags& flags) {
  const TextFlags text = text_of(flags, model);
  if (text.tokens.empty()) {
    model.tokenizer();  // or it says that there is none
    settings.emplace_back("--text", texts_in_words(text.text));
  } else {
    settings.emplace_back("--tokens", file_in_words(text.tokens));
  }
  settings.emplace_back("--seq-len", fmt::format("{}", text.effective_seq_len(model.config())));
  settings.emplace_back("--sequences", fmt::format("{}", text.sequences));
  settings.emplace_back("--bos", text.bos);
}

}  // namespace

Settings settings_of(const Model& model, const ReportFlags& flags) {
  Settings settings;
  if (reads_images(model, flags.text, flags.images)) {
    preprocess_of(model);  // or it says what is missing
    add_images(settings, flags);
  } else {
    add_text(settings, model, flags);
  }
  settings.emplace_back("--tokenizer", tokenizer_in_words(flags.tokenizer));
  settings.emplace_back("--rule", Rule::parse(flags.rule).to_string());
  const auto precision = effective_precision(model, flags.run.options().precision);
  settings.emplace_back("--precision", std::string(ops::name_of(precision)));
  settings.emplace_back("massact", std::string(version()));
  return settings;
}

}  // namespace massact
