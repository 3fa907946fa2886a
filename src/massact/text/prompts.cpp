#include "massact/text/prompts.h"

#include <algorithm>
#include <functional>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/io/json.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxFileBytes = 16u << 20;
constexpr std::string_view kPlace = "{}";
constexpr std::string_view kBlank = " \t\r";
constexpr std::size_t kSynsetLength = 9;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) + 1 - first);
}

using TakeLine = std::function<void(std::string_view line, const std::string& where)>;

// Calls `take` for every line that is not empty.
void for_each_line(const std::filesystem::path& path, const TakeLine& take) {
  const std::string text = read_text_file(path, kMaxFileBytes);
  require(is_valid_utf8(text), path.string(), "expected UTF-8");
  std::string_view rest = text;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);  // a byte order mark
  for (int number = 1; !rest.empty(); ++number) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    if (!line.empty()) take(line, fmt::format("{}: line {}", path.string(), number));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

ClassName class_of(std::string_view line, const std::string& where) {
  ClassName result;
  const auto space = std::min(line.find_first_of(kBlank), line.size());
  if (is_synset(line.substr(0, space))) {
    result.synset = line.substr(0, space);
    line.remove_prefix(space);
  }
  while (!line.empty()) {
    const auto end = std::min(line.find(','), line.size());
    if (const auto name = trimmed(line.substr(0, end)); !name.empty()) {
      result.names.emplace_back(name);
    }
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  require(!result.names.empty() || !result.synset.empty(), where, "expected a class's name");
  return result;
}

std::vector<ClassName> read_json_names(const std::filesystem::path& path) {
  const nlohmann::json document = parse_json(read_text_file(path, kMaxFileBytes), path.string());
  require(document.is_array(), path.string(), "expected an array of class names, got {}",
          describe_json(document));
  std::vector<ClassName> classes;
  for (const nlohmann::json& element : document) {
    const std::string where = fmt::format("{}: [{}]", path.string(), classes.size());
    require(element.is_string(), where, "expected a class's name, got {}", describe_json(element));
    classes.push_back(class_of(trimmed(element.get<std::string>()), where));
  }
  return classes;
}

}  // namespace

std::string ClassName::all() const {
  std::vector<std::string> parts = names;
  if (!synset.empty()) parts.push_back(synset);
  return join(parts);
}

bool is_synset(std::string_view text) {
  return text.size() == kSynsetLength && text[0] == 'n' &&
         text.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

std::vector<ClassName> read_class_names(const std::filesystem::path& path) {
  std::vector<ClassName> classes;
  if (path.extension() == ".json") {
    classes = read_json_names(path);
  } else {
    for_each_line(path, [&](std::string_view line, const std::string& where) {
      classes.push_back(class_of(line, where));
    });
  }
  require(!classes.empty(), path.string(), "expected the name of a class on every line, got none");
  return classes;
}

std::vector<std::string> read_templates(const std::filesystem::path& path) {
  std::vector<std::string> templates;
  for_each_line(path, [&](std::string_view line, const std::string& where) {
    require(line.find(kPlace) != std::string_view::npos, where,
            "expected a template with {} where the class's name goes, got \"{}\"", kPlace, line);
    templates.emplace_back(line);
  });
  require(!templates.empty(), path.string(), "expected a template on every line, got none");
  return templates;
}

std::string fill_template(std::string_view prompt_template, std::string_view name) {
  return replaced(std::string(prompt_template), kPlace, name);
}

}  // namespace massact
