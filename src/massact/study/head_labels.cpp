#include "massact/study/head_labels.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <optional>

#include "massact/base/error.h"
#include "massact/base/whole_number.h"
#include "massact/io/json.h"

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

// The names of a model's classes, by class; empty if it does not tell.
std::vector<std::string> own_names(const Model& model, std::int64_t outputs) {
  const std::filesystem::path path = model.path() / "config.json";
  if (!std::filesystem::exists(path)) return {};
  const JsonObject config = JsonObject::from_file(path, kMaxConfigBytes);
  if (!config.has("id2label")) return {};
  const JsonObject names = config.object("id2label");
  std::vector<std::string> own(static_cast<std::size_t>(outputs));
  for (const std::string& key : names.keys()) {
    const auto index = whole_number(key);
    require(index && *index >= 0 && *index < outputs, names.where(key),
            "expected a class from 0 to {}", outputs - 1);
    own[static_cast<std::size_t>(*index)] = names.get<std::string>(key);
  }
  return own;
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

}  // namespace

std::vector<std::int64_t> match_classes(const std::vector<std::string>& names,
                                        const std::vector<std::string>& own, std::int64_t outputs,
                                        const std::string& where) {
  const auto index = index_of_names(own);
  std::vector<std::int64_t> classes;
  std::string unknown;
  for (const std::string& name : names) {
    const auto known = index.find(plain(name));
    classes.push_back(known == index.end() ? -1 : known->second);
    if (known == index.end() && unknown.empty()) unknown = name;
  }
  if (unknown.empty()) return classes;

  const auto is_class = [&](const std::string& name) {
    const auto number = whole_number(name);
    return number && *number >= 0 && *number < outputs;
  };
  if (std::all_of(names.begin(), names.end(), is_class)) {
    std::transform(names.begin(), names.end(), classes.begin(),
                   [](const std::string& name) { return *whole_number(name); });
    return classes;
  }
  if (std::ssize(names) == outputs) {
    std::iota(classes.begin(), classes.end(), 0);
    return classes;
  }
  fail(where,
       "expected labels that match the model's {} classes: their names, their numbers, or as many "
       "folders in their order; got {} labels, of which \"{}\" is unknown",
       outputs, names.size(), unknown);
}

std::vector<std::int64_t> head_labels(const Model& model, const ImageFiles& images) {
  const HeadConfig& head = model.config().head;
  if (head.kind != HeadKind::classes || !images.list().labelled()) return {};
  const std::vector<std::int64_t> classes = match_classes(
      images.list().classes, own_names(model, head.outputs), head.outputs, images.name(0));
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < images.count(); ++i) {
    labels.push_back(classes[static_cast<std::size_t>(images.entry(i).label.value())]);
  }
  return labels;
}

}  // namespace massact
