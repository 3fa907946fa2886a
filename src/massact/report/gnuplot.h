// Drawing with the gnuplot program, where there is one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace massact {

/// True if `gnuplot` can be started (PATH).
bool has_gnuplot();

/// Runs `gnuplot SCRIPT` in `directory`. Throws Error with what it said if it fails.
void run_gnuplot(const std::filesystem::path& directory, const std::string& script);

/// Any text as a gnuplot string in which nothing is special: control characters become spaces.
std::string gnuplot_string(std::string_view text);

}  // namespace massact
