#include "massact/text/tasks.h"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/stringoptions.h>

#include <algorithm>
#include <array>
#include <optional>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/io/json.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxFileBytes = 1ull << 30;

// What Python's str.strip() takes away: White_Space and the four separators of ASCII.
bool is_python_space(char32_t character) {
  return is_white_space(character) || (character >= 0x1C && character <= 0x1F);
}

// Where the white space at the end of `text` begins.
std::size_t trailing_space(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();)
    if (!is_python_space(next_character(text, at))) end = at;
  return end;
}

std::string strip(std::string_view text) {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size(); begin = at)
    if (!is_python_space(next_character(text, at))) break;
  return std::string(text.substr(begin, std::max(trailing_space(text), begin) - begin));
}

// Python's str.capitalize(): title case for the first character, lower case for the others.
std::string capitalize(const std::string& text) {
  std::string result;
  icu::StringByteSink<std::string> sink(&result);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8ToTitle("", U_TITLECASE_WHOLE_STRING | U_TITLECASE_NO_BREAK_ADJUSTMENT, nullptr,
                            text, sink, nullptr, status);
  require(U_SUCCESS(status), "task", "expected text that can be capitalised, got {}",
          u_errorName(status));
  return result;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// HellaSwag's texts come with marks of WikiHow, which the harness removes like this.
std::string clean_hellaswag(std::string_view raw) {
  std::string text = strip(raw);
  replace_all(text, " [title]", ". ");
  for (auto open = text.find('['); open != std::string::npos; open = text.find('[', open)) {
    const auto close = text.find_first_of("]\n", open);
    if (close != std::string::npos && text[close] == ']') {
      text.erase(open, close + 1 - open);
    } else {
      ++open;
    }
  }
  replace_all(text, "  ", " ");
  return text;
}

MultipleChoiceItem item_of(const std::string& context, std::vector<std::string> choices,
                           std::int64_t answer) {
  MultipleChoiceItem item;
  for (const std::string& choice : choices) item.requests.push_back({context, " " + choice});
  item.choices = std::move(choices);
  item.answer = answer;
  return item;
}

// An integer, also when it is written as a text, or a truth value.
std::int64_t read_label(const JsonObject& line, std::string_view name) {
  const nlohmann::json* value = line.find(name);
  if (value != nullptr && value->is_boolean()) return value->get<bool>() ? 1 : 0;
  if (value == nullptr || !value->is_string()) return line.get<std::int64_t>(name);
  const std::string& text = value->get_ref<const std::string&>();
  require(text.size() == 1 && text[0] >= '0' && text[0] <= '9', line.where(name),
          "expected the number of a choice, got {:?}", text);
  return text[0] - '0';
}

MultipleChoiceItem read_boolq(const JsonObject& line) {
  const auto context = fmt::format("{}\nQuestion: {}?\nAnswer:", line.get<std::string>("passage"),
                                   line.get<std::string>("question"));
  return item_of(context, {"no", "yes"}, read_label(line, line.has("label") ? "label" : "answer"));
}

MultipleChoiceItem read_piqa(const JsonObject& line, std::optional<std::int64_t> label) {
  return item_of(fmt::format("Question: {}\nAnswer:", line.get<std::string>("goal")),
                 {line.get<std::string>("sol1"), line.get<std::string>("sol2")},
                 line.has("label") || !label ? read_label(line, "label") : *label);
}

MultipleChoiceItem read_winogrande(const JsonObject& line) {
  const auto sentence = line.get<std::string>("sentence");
  const auto blank = sentence.find('_');
  require(blank != std::string::npos, line.where("sentence"), "expected a _ to fill in, got {:?}",
          sentence);
  MultipleChoiceItem item;
  for (const char* option : {"option1", "option2"}) {
    item.choices.push_back(sentence.substr(0, blank) + line.get<std::string>(option));
    item.requests.push_back({item.choices.back(), " " + strip(sentence.substr(blank + 1))});
  }
  item.answer = read_label(line, "answer") - 1;
  return item;
}

MultipleChoiceItem read_arc(const JsonObject& line) {
  const nlohmann::json* question = line.find("question");
  std::vector<std::string> texts, labels;
  std::string stem;
  if (question != nullptr && question->is_object()) {
    const JsonObject object = line.object("question");
    stem = object.get<std::string>("stem");
    const nlohmann::json* choices = object.find("choices");
    require(choices != nullptr && choices->is_array(), object.where("choices"),
            "expected an array of choices");
    for (std::size_t i = 0; i < choices->size(); ++i) {
      const JsonObject choice((*choices)[i], fmt::format("{}[{}]", object.where("choices"), i));
      texts.push_back(choice.get<std::string>("text"));
      labels.push_back(choice.get<std::string>("label"));
    }
  } else {
    stem = line.get<std::string>("question");
    const JsonObject choices = line.object("choices");
    texts = choices.get<std::vector<std::string>>("text");
    labels = choices.get<std::vector<std::string>>("label");
    require(texts.size() == labels.size(), choices.where("label"), "expected {} labels, got {}",
            texts.size(), labels.size());
  }
  const auto key = line.get<std::string>("answerKey");
  const auto label = std::find(labels.begin(), labels.end(), key);
  require(label != labels.end(), line.where("answerKey"),
          "expected the label of a choice, got {:?}", key);
  const auto answer = label - labels.begin();
  return item_of(fmt::format("Question: {}\nAnswer:", stem), std::move(texts), answer);
}

MultipleChoiceItem read_hellaswag(const JsonObject& line) {
  const std::string context = line.get<std::string>("activity_label") + ": " +
                              line.get<std::string>("ctx_a") + " " +
                              capitalize(line.get<std::string>("ctx_b"));
  std::vector<std::string> endings;
  for (const std::string& ending : line.get<std::vector<std::string>>("endings"))
    endings.push_back(clean_hellaswag(ending));
  return item_of(clean_hellaswag(context), std::move(endings), read_label(line, "label"));
}

MultipleChoiceItem read_simple(const JsonObject& line) {
  return item_of(line.get<std::string>("context"), line.get<std::vector<std::string>>("choices"),
                 line.get<std::int64_t>("answer"));
}

MultipleChoiceItem read_item(const JsonObject& line, TaskFormat format,
                             std::optional<std::int64_t> label) {
  switch (format) {
    case TaskFormat::boolq:
      return read_boolq(line);
    case TaskFormat::piqa:
      return read_piqa(line, label);
    case TaskFormat::winogrande:
      return read_winogrande(line);
    case TaskFormat::arc:
      return read_arc(line);
    case TaskFormat::hellaswag:
      return read_hellaswag(line);
    case TaskFormat::simple:
      break;
  }
  return read_simple(line);
}

void check_item(const MultipleChoiceItem& item, std::string_view where) {
  const auto count = static_cast<std::int64_t>(item.choices.size());
  require(count >= 2, where, "expected at least two choices, got {}", count);
  for (const std::string& choice : item.choices)
    require(!choice.empty(), where, "expected choices with text, got an empty one");
  require(item.answer >= 0 && item.answer < count, where,
          "expected the answer to be one of {} choices, got number {} (from 0)", count,
          item.answer);
}

// PIQA's answers: one digit per line in a file of its own. Empty if there is none.
std::vector<std::int64_t> read_labels(const std::filesystem::path& task) {
  const auto path = task.parent_path() / (task.stem().string() + "-labels.lst");
  std::vector<std::int64_t> labels;
  if (!std::filesystem::exists(path)) return labels;
  const std::string text = read_text_file(path, kMaxFileBytes);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' || text[i] == '\r') continue;
    const bool alone = i + 1 == text.size() || text[i + 1] == '\n' || text[i + 1] == '\r';
    require((text[i] == '0' || text[i] == '1') && alone,
            fmt::format("{} line {}", path.string(), labels.size() + 1), "expected 0 or 1");
    labels.push_back(text[i] - '0');
  }
  return labels;
}

}  // namespace

TaskFormat task_format(std::string_view task_name) {
  constexpr std::array<std::pair<std::string_view, TaskFormat>, 7> kFormats = {
      {{"boolq", TaskFormat::boolq},
       {"piqa", TaskFormat::piqa},
       {"winogrande", TaskFormat::winogrande},
       {"arc", TaskFormat::arc},
       {"arc_easy", TaskFormat::arc},
       {"arc_challenge", TaskFormat::arc},
       {"hellaswag", TaskFormat::hellaswag}}};
  for (const auto& [name, format] : kFormats)
    if (name == task_name) return format;
  return TaskFormat::simple;
}

std::vector<MultipleChoiceItem> read_task(const std::filesystem::path& path, TaskFormat format) {
  const std::string text = read_text_file(path, kMaxFileBytes);
  std::vector<std::int64_t> labels;
  if (format == TaskFormat::piqa) labels = read_labels(path);
  std::vector<MultipleChoiceItem> items;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    check_interrupted();
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{} line {}", path.string(), number);
    std::optional<std::int64_t> label;
    if (items.size() < labels.size()) label = labels[items.size()];
    items.push_back(read_item(JsonObject(parse_json(line, where), where), format, label));
    check_item(items.back(), where);
  }
  require(!items.empty(), path.string(), "expected at least one item, got an empty file");
  require(labels.empty() || labels.size() == items.size(), path.string(),
          "expected {} items as in its labels file, got {}", labels.size(), items.size());
  return items;
}

TokenRequest tokenize_request(const Tokenizer& tokenizer, const ChoiceRequest& request) {
  const std::size_t end = trailing_space(request.context);
  const std::string context = request.context.substr(0, end);
  TokenRequest tokens;
  tokens.context = tokenizer.encode(context).ids;
  const auto whole = tokenizer.encode(request.context + request.continuation).ids;
  const std::size_t cut = std::min(tokens.context.size(), whole.size());
  tokens.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end());
  return tokens;
}

}  // namespace massact
