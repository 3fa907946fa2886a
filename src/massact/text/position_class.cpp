#include "massact/text/position_class.h"

#include <array>

#include "massact/base/error.h"
#include "massact/io/json.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxFileBytes = 1 << 20;

constexpr std::array<std::string_view, kPositionClasses> kNames = {"start", "first_delimiter",
                                                                   "delimiter", "weak", "other"};

// The space, sentencepiece's mark and GPT-2's.
constexpr std::array<std::string_view, 3> kSpaces = {" ", "\u2581", "\u0120"};

std::string_view strip(std::string_view text) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const std::string_view space : kSpaces) {
      if (text.starts_with(space)) {
        text.remove_prefix(space.size());
        changed = true;
      }
      if (text.ends_with(space)) {
        text.remove_suffix(space.size());
        changed = true;
      }
    }
  }
  return text;
}

void override_list(const JsonObject& object, std::string_view name,
                   std::unordered_set<std::string>& list) {
  if (!object.has(name)) return;
  list.clear();
  for (const std::string& text : object.get<std::vector<std::string>>(name))
    list.emplace(strip(text));
}

}  // namespace

std::string_view position_class_name(PositionClass position_class) {
  return kNames[static_cast<std::size_t>(position_class)];
}

PositionClass parse_position_class(std::string_view name, std::string_view where) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<PositionClass>(i);
  fail_usage(where, "expected start, first_delimiter, delimiter, weak or other, got {:?}", name);
}

PositionLists PositionLists::defaults() {
  PositionLists lists;
  for (const char character : std::string_view(".,;:!?\n\"'()-")) {
    lists.delimiters.emplace(1, character);
    lists.delimiters.emplace(2, character);
  }
  lists.weak = {"and",  "or", "of", "the", "a",  "an", "in",   "to",   "from", "for",
                "with", "on", "at", "by",  "as", "is", "that", "this", "was",  "it"};
  return lists;
}

PositionLists PositionLists::from_file(const std::filesystem::path& path) {
  const JsonObject object = JsonObject::from_file(path, kMaxFileBytes);
  for (const std::string& key : object.keys())
    require(key == "delimiter" || key == "weak", object.where(key),
            "expected the fields \"delimiter\" and \"weak\" only, got {:?}", key);
  PositionLists lists = defaults();
  override_list(object, "delimiter", lists.delimiters);
  override_list(object, "weak", lists.weak);
  return lists;
}

std::vector<PositionClass> classify(std::span<const std::string> token_texts,
                                    const PositionLists& lists) {
  std::vector<PositionClass> classes;
  classes.reserve(token_texts.size());
  bool delimiter_seen = false;
  for (const std::string& token_text : token_texts) {
    const std::string text(strip(token_text));
    if (classes.empty()) {
      classes.push_back(PositionClass::start);
    } else if (lists.delimiters.contains(text)) {
      classes.push_back(delimiter_seen ? PositionClass::delimiter : PositionClass::first_delimiter);
      delimiter_seen = true;
    } else {
      classes.push_back(lists.weak.contains(text) ? PositionClass::weak : PositionClass::other);
    }
  }
  return classes;
}

}  // namespace massact
