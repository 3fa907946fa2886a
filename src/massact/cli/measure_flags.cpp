#include "massact/cli/measure_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "massact/base/error.h"
#include "massact/cli/default_text.h"

namespace massact {
namespace {

constexpr std::int64_t kDefaultTextWindows = 10;

// Beyond the windows asked for, so that it shows whether the text goes on.
std::int64_t enough_tokens(const PerplexityRequest& request) {
  return (request.max_windows + 1) * request.seq_len + 1;
}

}  // namespace

void MeasureFlags::declare(CLI::App& command) {
  text.declare(command);
  text.own(
      command.add_flag("--wikitext-rows", wikitext_rows,
                       "Join the text's lines as the paper's code joins wikitext-2-raw's rows"));
  text.own(command.add_option("--task", tasks,
                              "Multiple choice, NAME=FILE: boolq, piqa, winogrande, arc_easy, "
                              "arc_challenge, hellaswag, or any name for the simple format"));
}

PerplexityRequest MeasureFlags::request(eval::Convention convention) const {
  return {convention, text.seq_len, text.sequences, text.bos_policy()};
}

TokenStreams MeasureFlags::read(const Model& model, PerplexityRequest& request) const {
  require_reads_text(model);
  const bool given = request.seq_len > 0;
  request.seq_len = text.effective_seq_len(model.config());
  const StreamOptions options{enough_tokens(request), wikitext_rows};
  if (!text.tokens.empty()) return streams_of_tokens(text.tokens, model.config().vocab, options);
  if (!text.text.empty()) {
    const std::vector<std::filesystem::path> paths(text.text.begin(), text.text.end());
    return streams_of_files(paths, model.tokenizer(), options);
  }
  TokenStreams streams = streams_of_text(std::string(default_text()),
                                         "the text that ships with massact", model.tokenizer(), {});
  if (!given) {
    const std::int64_t tenth = streams.token_count() / kDefaultTextWindows;
    request.seq_len = std::min(request.seq_len, std::max<std::int64_t>(2, tenth));
  }
  return streams;
}

TokenStreams MeasureFlags::read_file(const Model& model, const std::string& file,
                                     const PerplexityRequest& request) const {
  const std::filesystem::path path = file;
  return streams_of_files({&path, 1}, model.tokenizer(), {enough_tokens(request), wikitext_rows});
}

std::vector<TaskRequest> MeasureFlags::read_tasks() const {
  std::vector<TaskRequest> requests;
  for (const std::string& task : tasks) {
    const std::size_t at = task.find('=');
    if (at == std::string::npos || at == 0 || at + 1 == task.size()) {
      fail_usage("--task", "expected NAME=FILE (piqa=valid.jsonl), got '{}'", task);
    }
    const std::string name = task.substr(0, at);
    requests.push_back({name, read_task(task.substr(at + 1), task_format(name))});
  }
  return requests;
}

std::vector<eval::Convention> parse_conventions(const std::string& list, const std::string& flag) {
  std::vector<eval::Convention> conventions;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    conventions.push_back(eval::parse_convention(list.substr(at, end - at), flag));
    at = end + 1;
  }
  return conventions;
}

}  // namespace massact
