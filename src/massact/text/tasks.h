// Multiple-choice tasks: dataset files to the requests that lm-evaluation-harness makes of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "massact/text/tokenizer.h"

namespace massact {

/// One text whose probability given the text before it is asked for.
struct ChoiceRequest {
  std::string context;
  std::string continuation;
  bool operator==(const ChoiceRequest&) const = default;
};

/// One question (zero-shot). The right choice should have the most likely continuation.
struct MultipleChoiceItem {
  std::vector<ChoiceRequest> requests;  // one per choice; WinoGrande differs in the contexts
  /// Texts whose lengths normalise the scores: acc_norm by characters, acc_bytes by bytes.
  std::vector<std::string> choices;
  std::int64_t answer = 0;  // index of the right choice
};

/// The formats of task files. All are JSON lines; fields not named are ignored:
/// boolq: `passage`, `question`, and `answer` (true/false) or `label` (0/1 or true/false);
/// piqa: `goal`, `sol1`, `sol2`, and `label`, else line by line from the file beside it whose name
///   ends in `-labels.lst` (`valid.jsonl` -> `valid-labels.lst`);
/// winogrande: `sentence` with a `_`, `option1`, `option2`, `answer` ("1" or "2"): partial scoring;
/// arc: `question` and `choices` {`text`, `label`}, or AI2's `question` {`stem`, `choices`
///   [{`text`, `label`}]}; `answerKey`;
/// hellaswag: `activity_label`, `ctx_a`, `ctx_b`, `endings`, `label`;
/// simple: `context`, `choices` (a list of texts), `answer` (index from 0). A continuation is a
///   space and the choice.
enum class TaskFormat { boolq, piqa, winogrande, arc, hellaswag, simple };

/// "boolq", "piqa", "winogrande", "arc_easy", "arc_challenge" (or "arc"), "hellaswag" as
/// lm-evaluation-harness names them; every other name is `simple`.
TaskFormat task_format(std::string_view task_name);

/// Reads a task file. Throws Error naming file, line and field for missing fields, answers out of
/// range and empty choices, and for a file without items.
std::vector<MultipleChoiceItem> read_task(const std::filesystem::path& path, TaskFormat format);

/// A request as tokens, split as lm-evaluation-harness does.
struct TokenRequest {
  std::vector<std::int32_t> context, continuation;
};

/// White space at the end of the context moves to the continuation; the continuation's tokens are
/// those of both together from the number of the context's on. No BOS is added; with an empty
/// context the caller puts one.
TokenRequest tokenize_request(const Tokenizer& tokenizer, const ChoiceRequest& request);

}  // namespace massact
