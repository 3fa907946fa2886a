// What a zero-shot classifier is made from: the names of classes and the templates that turn a name
// into a text.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// What one class is called. The first name is what prompts say, all of them are what labels may
/// say.
struct ClassName {
  std::vector<std::string> names;
  std::string synset;  ///< WordNet id ("n01440764"), as ImageNet's folders are called; empty: none

  /// The name that prompts say; empty if only the id is known.
  std::string prompt_name() const { return names.empty() ? "" : names.front(); }
  /// All names and the id, separated by ", ".
  std::string all() const;
};

/// Reads a file with a class per line: `name`, `name, other name, …`, or a WordNet id and white
/// space before them (ImageNet's LOC_synset_mapping.txt), or an id alone. Empty lines do not count.
/// A `.json` file holds an array of such texts. Throws Error naming file and line for a file
/// without classes and for text that is not UTF-8.
std::vector<ClassName> read_class_names(const std::filesystem::path& path);

/// "n" and eight digits.
bool is_synset(std::string_view text);

/// What a prompt is without a file of templates.
inline constexpr std::string_view kDefaultTemplate = "a photo of a {}.";

/// Reads a file with a template per line; `{}` stands for the class. Empty lines do not count.
/// Throws Error naming file and line for a template without `{}`.
std::vector<std::string> read_templates(const std::filesystem::path& path);

/// `prompt_template` with every `{}` replaced by `name`.
std::string fill_template(std::string_view prompt_template, std::string_view name);

}  // namespace massact
