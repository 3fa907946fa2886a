// A benchmark's result for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "massact/report/text_style.h"
#include "massact/study/bench.h"

namespace massact {

/// A few lines: rates, shares of the time, memory.
std::string bench_text(const BenchResult& result, const TextStyle& style);

/// The same numbers in base units (seconds, bytes, FLOP/s).
nlohmann::ordered_json bench_to_json(const BenchResult& result);

}  // namespace massact
