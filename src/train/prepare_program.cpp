#include "train/prepare_program.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "massact/base/error.h"

namespace massact::train {

int run_prepare_program(std::vector<std::string> arguments) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = (self.parent_path() / "massact-train-prepare").string();
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, program.c_str(), nullptr, nullptr, argv.data(), environ);
  require(failed == 0, program, "expected this program beside massact-train, got: {}",
          std::strerror(failed));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    require(errno == EINTR, program, "expected to wait for it, got: {}", std::strerror(errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace massact::train
