#include "massact/report/eval_text.h"

#include <fmt/format.h>

#include "massact/base/units.h"
#include "massact/report/numbers.h"

namespace massact {
namespace {

std::string perplexity_line(const MeasureSet::Text& text, const eval::Perplexity& p,
                            const TextStyle& style) {
  std::string value = "perplexity " + estimate_text(p.perplexity, style);
  if (p.word_perplexity) {
    value = fmt::format("word perplexity {}, byte perplexity {}, bits per byte {}",
                        estimate_text(*p.word_perplexity, style),
                        estimate_text(*p.byte_perplexity, style),
                        estimate_text(*p.bits_per_byte, style));
  }
  return wrap(fmt::format("{}: {} ({})", name_of(text.request.convention), value,
                          convention_text(text, p.targets)),
              style) +
         "\n";
}

std::string task_line(const MeasureSet::Task& task, const eval::Accuracy& a,
                      const TextStyle& style) {
  return wrap(fmt::format("{}: acc {}, acc_norm {}, acc_bytes {} (lm-eval's scoring, zero-shot, {} "
                          "items, BOS {})",
                          task.request.name, estimate_text(a.acc, style),
                          estimate_text(a.acc_norm, style), estimate_text(a.acc_bytes, style),
                          a.items, task.bos ? "yes" : "no"),
              style) +
         "\n";
}

}  // namespace

std::string estimate_text(const eval::Estimate& estimate, const TextStyle& style) {
  if (!estimate.error) return number(estimate.value) + " (no error bar)";
  return fmt::format("{} {} {}", number(estimate.value), style.utf8 ? "±" : "+-",
                     error_number(*estimate.error));
}

std::string convention_text(const MeasureSet::Text& text, std::int64_t targets) {
  const bool rolling = text.request.convention == eval::Convention::lm_eval;
  std::string out =
      fmt::format("seqlen {}, BOS {}, {}, {} scored", text.request.seq_len,
                  !text.bos ? "no" : (rolling ? "as the first window's prefix" : "in every window"),
                  counted(text.count, "window"), counted(targets, "token"));
  if (text.counts) {
    out += fmt::format(" of {} words, {} bytes",
                       format_count(static_cast<std::uint64_t>(text.counts->words)),
                       format_count(static_cast<std::uint64_t>(text.counts->bytes)));
  }
  return out;
}

std::string facts_text(const RunFacts& facts, const TextStyle& style) {
  const std::string dot = style.utf8 ? " · " : ", ";
  return wrap(fmt::format("{} ({}, {}, width {}){}{}{}{} pass{}, {}", printable(facts.model, style),
                          facts.family, counted(facts.layers, "layer"), facts.width, dot,
                          facts.precision, dot, facts.passes, facts.passes == 1 ? "" : "es",
                          format_seconds(facts.seconds)),
              style) +
         "\n";
}

std::string warnings_text(const std::vector<std::string>& warnings, const TextStyle& style) {
  std::string out;
  for (const std::string& warning : warnings) out += wrap("warning: " + warning, style) + "\n";
  return out;
}

std::string eval_text(const EvalResult& result, const TextStyle& style) {
  std::string out = facts_text(result.facts, style) + "\n";
  for (std::size_t i = 0; i < result.texts.size(); ++i) {
    out += perplexity_line(result.texts[i], result.measures.perplexities[i], style);
  }
  for (std::size_t i = 0; i < result.tasks.size(); ++i) {
    out += task_line(result.tasks[i], result.measures.accuracies[i], style);
  }
  return out + warnings_text(result.warnings, style);
}

}  // namespace massact
