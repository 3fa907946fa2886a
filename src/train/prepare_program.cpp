#include "train/prepare_program.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "massact/base/error.h"

namespace massact::train {
namespace {

/// The program's path (beside this one, wherever that is) and what execv needs.
struct CommandLine {
  explicit CommandLine(std::vector<std::string> rest) : arguments(std::move(rest)) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    arguments.insert(arguments.begin(), (self.parent_path() / "massact-train-prepare").string());
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
  }
  const std::string& program() const { return arguments[0]; }
  [[noreturn]] void fail_to_start(int error) const {
    fail(program(), "expected this program beside massact-train, got: {}", std::strerror(error));
  }

  std::vector<std::string> arguments;
  std::vector<char*> argv;
};

}  // namespace

int run_prepare_program(std::vector<std::string> arguments) {
  const CommandLine line(std::move(arguments));
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, line.program().c_str(), nullptr, nullptr, line.argv.data(), environ);
  if (failed != 0) line.fail_to_start(failed);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    require(errno == EINTR, line.program(), "expected to wait for it, got: {}",
            std::strerror(errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void become_prepare_program(std::vector<std::string> arguments) {
  const CommandLine line(std::move(arguments));
  ::execv(line.program().c_str(), line.argv.data());
  line.fail_to_start(errno);
}

}  // namespace massact::train
