#include "massact/study/head_labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <optional>

#include "massact/base/error.h"
#include "massact/base/whole_number.h"
#include "massact/io/json.h"
#include "massact/text/prompts.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 64 << 20;

// "Great_White shark" -> "great white shark".
std::string plain(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == '_') {
      text += ' ';
    } else {
      text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  const auto first = text.find_first_not_of(' ');
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

constexpr std::string_view kNumbered = "label ";

// The class that a text means by its number: "3", "LABEL_3".
std::optional<std::int64_t> numbered(std::string_view name, std::int64_t outputs) {
  const std::string text = plain(name);
  std::string_view digits = text;
  if (digits.starts_with(kNumbered)) digits.remove_prefix(kNumbered.size());
  const auto number = whole_number(digits);
  return number && *number >= 0 && *number < outputs ? number : std::nullopt;
}

bool says_nothing(const std::vector<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name.empty() || plain(name).starts_with(kNumbered);
  });
}

// Every name that a class goes by; one that several classes share stands for none.
std::map<std::string, std::int64_t> index_of_names(const std::vector<std::string>& own) {
  constexpr std::int64_t kShared = -1;
  std::map<std::string, std::int64_t> index;
  for (std::size_t i = 0; i < own.size(); ++i) {
    const auto add = [&](std::string_view name) {
      const auto number = static_cast<std::int64_t>(i);
      const auto [at, is_new] = index.emplace(plain(name), number);
      if (!is_new && at->second != number) at->second = kShared;
    };
    add(own[i]);
    for (std::size_t begin = 0; own[i].find(',') != std::string::npos && begin < own[i].size();) {
      const std::size_t end = std::min(own[i].find(',', begin), own[i].size());
      add(std::string_view(own[i]).substr(begin, end - begin));
      begin = end + 1;
    }
  }
  std::erase_if(index, [](const auto& entry) { return entry.second == kShared; });
  return index;
}

// By name; -1 for those that no class goes by.
std::vector<std::int64_t> by_name(const std::vector<std::string>& names,
                                  const std::vector<std::string>& own) {
  const auto index = index_of_names(own);
  std::vector<std::int64_t> classes;
  for (const std::string& name : names) {
    const auto known = index.find(plain(name));
    classes.push_back(known == index.end() ? -1 : known->second);
  }
  return classes;
}

}  // namespace

std::vector<std::string> class_names_of(const Model& model, std::int64_t outputs) {
  const std::filesystem::path path = model.path() / "config.json";
  if (!std::filesystem::exists(path)) return {};
  const JsonObject config = JsonObject::from_file(path, kMaxConfigBytes);
  std::vector<std::string> own(static_cast<std::size_t>(outputs));
  if (config.has("id2label")) {
    const JsonObject names = config.object("id2label");
    for (const std::string& key : names.keys()) {
      const auto index = whole_number(key);
      require(index && *index >= 0 && *index < outputs, names.where(key),
              "expected a class from 0 to {}", outputs - 1);
      own[static_cast<std::size_t>(*index)] = names.get<std::string>(key);
    }
  } else if (config.has("label_names")) {
    own = config.get<std::vector<std::string>>("label_names");
    require(std::ssize(own) == outputs, config.where("label_names"),
            "expected the names of {} classes, got {}", outputs, own.size());
  }
  if (says_nothing(own)) return {};
  return own;
}

ClassMatch match_classes(const std::vector<std::string>& names, const std::vector<std::string>& own,
                         std::int64_t outputs, const std::string& where) {
  std::vector<std::int64_t> classes = by_name(names, own);
  if (std::find(classes.begin(), classes.end(), -1) == classes.end()) {
    return {std::move(classes), ""};
  }
  const auto is_number = [&](const std::string& name) {
    return numbered(name, outputs).has_value();
  };
  if (std::all_of(names.begin(), names.end(), is_number)) {
    std::transform(names.begin(), names.end(), classes.begin(),
                   [&](const std::string& name) { return *numbered(name, outputs); });
    return {std::move(classes), ""};
  }
  // For messages: one that is no number, if there is one.
  auto unknown = std::find_if_not(names.begin(), names.end(), [&](const std::string& name) {
    const auto at = static_cast<std::size_t>(&name - names.data());
    return classes[at] >= 0 || is_number(name);
  });
  if (unknown == names.end()) unknown = std::find_if(names.begin(), names.end(), is_number);
  const bool synsets = std::all_of(names.begin(), names.end(), is_synset);
  // Ids that the classes have, and names some of which are known, are not to be guessed.
  constexpr std::size_t kIdLength = 9;
  const bool has_ids = std::any_of(own.begin(), own.end(), [](const std::string& name) {
    return is_synset(name.substr(0, kIdLength));
  });
  const bool none_known =
      std::all_of(classes.begin(), classes.end(), [](std::int64_t number) { return number < 0; });
  const bool by_order = (synsets && !has_ids) || says_nothing(own);
  if (by_order && none_known && std::ssize(names) == outputs) {
    std::iota(classes.begin(), classes.end(), 0);
    return {std::move(classes),
            fmt::format("labels are matched by their order: the {} {} in alphabetical order are "
                        "taken for the classifier's {} classes",
                        outputs, synsets ? "WordNet ids" : "labels", outputs)};
  }
  require(!synsets, where,
          "expected WordNet ids that the model's names of classes say, or one for each of its {} "
          "classes, got {} labels such as {} (give the ids of all classes in the classifier's "
          "order with --class-names: ImageNet's LOC_synset_mapping.txt)",
          outputs, names.size(), *unknown);
  fail(
      where,
      "expected labels that are among the names or numbers of the {} classes, got {} labels, of "
      "which \"{}\" is unknown (--class-names gives the names of all classes in order; a .csv list "
      "of paths alone has no labels)",
      outputs, names.size(), *unknown);
}

}  // namespace massact
