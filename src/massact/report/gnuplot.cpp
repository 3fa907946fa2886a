#include "massact/report/gnuplot.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "massact/base/error.h"

extern char** environ;

namespace massact {
namespace {

constexpr std::size_t kMaxSaid = 2000;
constexpr int kCouldNotStart = 127;

// What is written to `descriptor` until its other end closes, the first characters of it.
std::string read_all(int descriptor) {
  std::string said;
  std::array<char, 4096> buffer;
  for (ssize_t n = 0; (n = read(descriptor, buffer.data(), buffer.size())) > 0;) {
    if (said.size() < kMaxSaid) said.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return said;
}

}  // namespace

bool has_gnuplot() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((folder + "/gnuplot").c_str(), X_OK) == 0) return true;
  }
  return false;
}

void run_gnuplot(const std::filesystem::path& directory, const std::string& commands,
                 const std::string& script) {
  std::array<int, 2> ends{};
  const int refused = pipe2(ends.data(), O_CLOEXEC) == 0 ? 0 : errno;
  require(refused == 0, "gnuplot", "expected a pipe, got: {}", std::strerror(refused));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::string program = "gnuplot";
  std::string flag = "-e";
  std::string first = commands;
  std::string argument = script;
  std::array<char*, 5> arguments = {program.data(), flag.data(), first.data(), argument.data(),
                                    nullptr};
  pid_t child = -1;
  const int failed = posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  const std::string said = failed == 0 ? read_all(ends[0]) : "";
  close(ends[0]);
  require(failed == 0, "gnuplot", "expected to start it, got: {}", std::strerror(failed));
  int status = 0;
  waitpid(child, &status, 0);
  require(WIFEXITED(status) && WEXITSTATUS(status) != kCouldNotStart, "gnuplot",
          "expected it to end by itself, got: {}", said);
  require(WEXITSTATUS(status) == 0, "gnuplot", "expected it to draw {}, got: {}", script, said);
}

std::string gnuplot_string(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "''";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace massact
