// Running the real program, as a user does.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace massact::testing {

/// How a program ended and what it said.
struct Outcome {
  int status = -1;  ///< exit status, or 128 + signal
  std::string out;
  std::string err;
};

struct RunSettings {
  std::string program;                             ///< in place of massact
  std::map<std::string, std::string> environment;  ///< on top of the test's own
  std::string input;                               ///< what it reads from stdin
  std::uint64_t largest_file = 0;  ///< bytes; a disk that is full there. 0: no limit
  bool gone_directory = false;     ///< its current directory has been removed
  std::string stdout_to;           ///< a file in place of `out`
};

using Arguments = std::vector<std::string>;

/// A program that is running; its stdin stays open until `finish`.
class RunningProgram {
 public:
  RunningProgram(const Arguments& arguments, RunSettings settings);
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  pid_t pid() const { return pid_; }
  /// Waits until it handles `signal` itself. False if it ended before.
  bool wait_until_handled(int signal) const;
  /// Writes the settings' input, closes stdin, waits for the end.
  Outcome finish();

 private:
  RunSettings settings_;
  std::filesystem::path out_;
  std::filesystem::path err_;
  pid_t pid_ = -1;
  int input_ = -1;
};

/// Runs `massact` with these arguments to its end.
Outcome massact(const Arguments& arguments, const RunSettings& settings = {});

/// A folder of this test's own, empty at its start.
std::filesystem::path fresh_folder();

std::string read_file(const std::filesystem::path& file);
void write_file(const std::filesystem::path& file, std::string_view text);

}  // namespace massact::testing
