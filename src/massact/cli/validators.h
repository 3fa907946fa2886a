// What flags refuse, said in numbers that a person can read.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <cstdint>

namespace massact {

/// Whole numbers from 1 to `most` (0: no limit): "expected at least 1, got 0".
CLI::Validator at_least_one(std::int64_t most = 0);

/// Numbers above zero: "expected more than 0, got -1".
CLI::Validator above_zero();

/// Numbers from zero on: "expected 0 or more, got -1".
CLI::Validator zero_or_more();

/// Makes every flag of this command that takes a value refuse an empty one (an unset variable of a
/// script), which would else pass for the flag's default.
void refuse_empty_values(CLI::App& command);

}  // namespace massact
