// Measures for a person in front of a terminal.
#pragma once

#include <string>
#include <vector>

#include "massact/report/text_style.h"
#include "massact/study/eval.h"

namespace massact {

/// What was run, one line per measure with its convention, seqlen, BOS policy and standard error.
std::string eval_text(const EvalResult& result, const TextStyle& style);

/// "9.148 ± 0.52", "9.148 (no error bar)".
std::string estimate_text(const eval::Estimate& estimate, const TextStyle& style);

/// "hf, seqlen 128, BOS no, 5 windows, 635 tokens scored": the convention of a perplexity.
std::string convention_text(const MeasureSet::Text& text, std::int64_t targets);

/// "MODEL (llama, 6 layers, width 32) · f32 · 1 pass, 1.2s".
std::string facts_text(const RunFacts& facts, const TextStyle& style);

/// "warning: …" lines.
std::string warnings_text(const std::vector<std::string>& warnings, const TextStyle& style);

}  // namespace massact
