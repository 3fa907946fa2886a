#include "massact/text/corpus_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <string>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/io/json.h"
#include "massact/io/mapped_file.h"
#include "massact/io/npy.h"
#include "massact/io/token_file.h"

namespace massact {
namespace {

LoadedText keep(std::string text) {
  auto kept = std::make_shared<const std::string>(std::move(text));
  return {kept, *kept};
}

std::string join_documents(std::string_view lines, const std::string& path) {
  std::string text;
  std::size_t number = 0;
  bool first = true;
  for (std::size_t at = 0; at < lines.size();) {
    check_interrupted();
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    const std::string_view line = lines.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{} line {}", path, number);
    const JsonObject document(parse_json(line, where), where);
    if (!first) text += ' ';
    first = false;
    text += document.get<std::string>("text");
  }
  return text;
}

}  // namespace

LoadedText load_text(const std::filesystem::path& path) {
  if (path == "-")
    return keep(
        std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()));
  auto file = MappedFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                               file->bytes().size());
  require(!bytes.starts_with("\xff\xfe") && !bytes.starts_with("\xfe\xff"), path.string(),
          "expected text in UTF-8, got UTF-16 (by its byte order mark)");
  if (path.extension() == ".jsonl") return keep(join_documents(bytes, path.string()));
  return {file, bytes};
}

TokenRows load_tokens(const std::filesystem::path& path, std::int64_t wanted) {
  if (path.extension() != ".npy") {
    const TokenFile file = TokenFile::open(path);
    return {file.read(0, std::min(file.size(), wanted))};
  }
  IntegerArray array = read_npy_integers(path);
  if (array.shape.rank() == 1) return {std::move(array.values)};
  TokenRows rows;
  const std::int64_t length = array.shape[1];
  for (std::int64_t row = 0; row < array.shape[0]; ++row)
    rows.emplace_back(array.values.begin() + row * length,
                      array.values.begin() + (row + 1) * length);
  return rows;
}

std::string list_sources(std::span<const std::string> names) {
  std::string list;
  for (auto name = names.begin(); name != names.end();) {
    const auto other = std::find_if(name, names.end(), [&](const auto& n) { return n != *name; });
    list += (list.empty() ? "" : ", ") + *name;
    if (other - name > 1) list += fmt::format(" ({} rows)", other - name);
    name = other;
  }
  return list;
}

}  // namespace massact
