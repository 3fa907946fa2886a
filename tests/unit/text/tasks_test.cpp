#include "massact/text/tasks.h"

#include <fstream>

#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path golden_task(std::string_view name) {
  return testing_support::golden_folder() / "tasks" / name;
}

std::vector<nlohmann::json> json_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(parse_json(line, path.string()));
  return lines;
}

// The requests must be those that lm-evaluation-harness builds (tools/golden/make_tasks.py).
class TaskGolden : public testing::TestWithParam<const char*> {};

TEST_P(TaskGolden, RequestsAreTheHarnesss) {
  const std::string name = GetParam();
  const auto items = read_task(golden_task(name + ".jsonl"), task_format(name));
  const auto expected = json_lines(golden_task(name + ".expected.jsonl"));
  ASSERT_EQ(items.size(), expected.size());
  ASSERT_FALSE(items.empty());
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(items[i].answer, expected[i]["answer"].get<std::int64_t>());
    EXPECT_EQ(items[i].choices, expected[i]["choices"].get<std::vector<std::string>>());
    const auto& requests = expected[i]["requests"];
    ASSERT_EQ(items[i].requests.size(), requests.size());
    for (std::size_t choice = 0; choice < requests.size(); ++choice) {
      EXPECT_EQ(items[i].requests[choice].context, requests[choice][0].get<std::string>());
      EXPECT_EQ(items[i].requests[choice].continuation, requests[choice][1].get<std::string>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TaskGolden,
                         testing::Values("boolq", "piqa", "winogrande", "arc_easy", "hellaswag"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Tasks, RequestsAreSplitIntoTokensAsTheHarnessDoes) {
  const auto tokenizer = open_tokenizer(text_test::golden("llama3.json"));
  const auto pairs = json_lines(golden_task("pairs.jsonl"));
  ASSERT_GT(pairs.size(), 5u);
  for (const auto& pair : pairs) {
    const TokenRequest tokens = tokenize_request(
        *tokenizer, {pair["context"].get<std::string>(), pair["continuation"].get<std::string>()});
    EXPECT_EQ(tokens.context, pair["context_ids"].get<std::vector<std::int32_t>>()) << pair;
    EXPECT_EQ(tokens.continuation, pair["continuation_ids"].get<std::vector<std::int32_t>>())
        << pair;
  }
}

TEST(Tasks, RealPiqaWithItsLabelsFile) {
  const auto file = text_test::shared("piqa-raw/valid.jsonl");
  SKIP_WITHOUT(file);
  const auto items = read_task(file, TaskFormat::piqa);
  ASSERT_EQ(items.size(), 1838u);
  EXPECT_THAT(items[0].requests[0].context,
              testing::StartsWith("Question: How do I ready a guinea"));
  EXPECT_EQ(items[0].answer, 0);
  EXPECT_EQ(items[1].answer, 1);
}

TEST(Tasks, OtherFormsOfTheSameDatasets) {
  const TemporaryDirectory directory;
  const auto boolq = directory.write(
      "boolq.jsonl", R"({"passage": "p", "question": "q", "title": "t", "answer": true})");
  EXPECT_EQ(read_task(boolq, TaskFormat::boolq)[0].answer, 1);
  const auto arc = directory.write(
      "arc.jsonl", R"({"id": "x", "question": {"stem": "s", "choices": [{"text": "one", )"
                   R"("label": "A"}, {"text": "two", "label": "B"}]}, "answerKey": "B"})");
  const auto items = read_task(arc, TaskFormat::arc);
  EXPECT_EQ(items[0].answer, 1);
  EXPECT_THAT(items[0].requests, ElementsAre(ChoiceRequest{"Question: s\nAnswer:", " one"},
                                             ChoiceRequest{"Question: s\nAnswer:", " two"}));
}

TEST(Tasks, SimpleFormat) {
  const TemporaryDirectory directory;
  const auto file = directory.write(
      "mine.jsonl", "{\"context\": \"1 + 1 =\", \"choices\": [\"2\", \"3\"], \"answer\": 0}\n\n");
  const auto items = read_task(file, task_format("mine"));
  ASSERT_EQ(items.size(), 1u);
  EXPECT_THAT(items[0].requests,
              ElementsAre(ChoiceRequest{"1 + 1 =", " 2"}, ChoiceRequest{"1 + 1 =", " 3"}));
}

struct BadTask {
  const char* name;
  const char* task;
  const char* line;
  const char* error;
};

class BadTasks : public testing::TestWithParam<BadTask> {};

TEST_P(BadTasks, NameFileLineAndField) {
  const TemporaryDirectory directory;
  const auto file = directory.write("t.jsonl", std::string("\n") + GetParam().line + "\n");
  EXPECT_THAT(error_of([&] { read_task(file, task_format(GetParam().task)); }),
              AllOf(HasSubstr("t.jsonl line 2"), HasSubstr(GetParam().error)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTasks,
    testing::Values(
        BadTask{"NoContext", "x", R"({"choices": ["a", "b"], "answer": 0})", "context"},
        BadTask{"OneChoice", "x", R"({"context": "c", "choices": ["a"], "answer": 0})",
                "two choices"},
        BadTask{"NoChoices", "x", R"({"context": "c", "choices": [], "answer": 0})", "two choices"},
        BadTask{"EmptyChoice", "x", R"({"context": "c", "choices": ["a", ""], "answer": 0})",
                "empty"},
        BadTask{"AnswerBeyond", "x", R"({"context": "c", "choices": ["a", "b"], "answer": 2})",
                "got number 2"},
        BadTask{"AnswerBefore", "x", R"({"context": "c", "choices": ["a", "b"], "answer": -1})",
                "got number -1"},
        BadTask{"Syntax", "x", R"({"context": "c")", ""}, BadTask{"NoArray", "x", "[]", "object"},
        BadTask{"BoolqNoPassage", "boolq", R"({"question": "q", "answer": true})", "passage"},
        BadTask{"PiqaNoLabel", "piqa", R"({"goal": "g", "sol1": "a", "sol2": "b"})", "label"},
        BadTask{"NoBlank", "winogrande",
                R"({"sentence": "s", "option1": "a", "option2": "b", "answer": "1"})", "sentence"},
        BadTask{"WinograndeAnswer", "winogrande",
                R"({"sentence": "_", "option1": "a", "option2": "b", "answer": ""})", "answer"},
        BadTask{
            "ArcKey", "arc",
            R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"})",
            "answerKey"},
        BadTask{"ArcLabels", "arc",
                R"({"question": "q", "choices": {"text": ["a"], "label": []}, "answerKey": "B"})",
                "label"},
        BadTask{"HellaswagLabel", "hellaswag",
                R"({"activity_label": "", "ctx_a": "", "ctx_b": "", "endings": [], "label": "10"})",
                "label"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Tasks, EmptyFilesAndOddLabels) {
  const TemporaryDirectory directory;
  const auto empty = directory.write("e.jsonl", "\n");
  EXPECT_THAT(error_of([&] { read_task(empty, TaskFormat::simple); }), HasSubstr("e.jsonl"));
  const auto task = directory.write("v.jsonl", R"({"goal": "g", "sol1": "a", "sol2": "b"})");
  directory.write("v-labels.lst", "0\n1\n");
  EXPECT_THAT(error_of([&] { read_task(task, TaskFormat::piqa); }), HasSubstr("2 items"));
  directory.write("v-labels.lst", "2\n");
  EXPECT_THAT(error_of([&] { read_task(task, TaskFormat::piqa); }),
              HasSubstr("v-labels.lst line 1"));
  directory.write("v-labels.lst", "1\n");
  EXPECT_EQ(read_task(task, TaskFormat::piqa)[0].answer, 1);
}

}  // namespace
}  // namespace massact
