// Drawing with the gnuplot program, where there is one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace massact {

/// True if `gnuplot` can be started (PATH).
bool has_gnuplot();

/// Runs `gnuplot -e COMMANDS SCRIPT` in `directory`. Throws Error with what it said if it fails;
/// that it wrote everything is not certain (on a full disk it ends with 0).
void run_gnuplot(const std::filesystem::path& directory, const std::string& commands,
                 const std::string& script);

/// Any text as a gnuplot string in which nothing is special: control characters become spaces.
std::string gnuplot_string(std::string_view text);

}  // namespace massact
