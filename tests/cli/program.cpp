#include "cli/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace massact::testing {
namespace {

namespace fs = std::filesystem;

// In the child: everything between fork and exec.
[[noreturn]] void become_program(const Arguments& arguments, const RunSettings& settings,
                                 const std::string& out, const std::string& err, int input) {
  const int out_file = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err_file = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(input, STDIN_FILENO);
  dup2(out_file, STDOUT_FILENO);
  dup2(err_file, STDERR_FILENO);
  for (const auto& [name, value] : settings.environment) {
    setenv(name.c_str(), value.c_str(), 1);
  }
  if (settings.gone_directory) {
    const fs::path gone = fs::temp_directory_path() / ("massact-gone-" + std::to_string(getpid()));
    fs::create_directory(gone);
    fs::current_path(gone);
    fs::remove(gone);
  }
  if (settings.largest_file > 0) {
    const rlimit limit{settings.largest_file, settings.largest_file};
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);  // then writing fails as on a full disk
  }
  const std::string program = settings.program.empty() ? MASSACT_PROGRAM : settings.program;
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  _exit(127);
}

}  // namespace

RunningProgram::RunningProgram(const Arguments& arguments, RunSettings settings)
    : settings_(std::move(settings)) {
  // Beside the test's folder, so that a test can count what is in its folder.
  const std::string base = fs::temp_directory_path() / ("massact-cli-" + std::to_string(getpid()));
  out_ = settings_.stdout_to.empty() ? base + ".out" : settings_.stdout_to;
  err_ = base + ".err";
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  pid_ = fork();
  if (pid_ == 0) become_program(arguments, settings_, out_, err_, ends[0]);
  close(ends[0]);
  input_ = ends[1];
}

RunningProgram::~RunningProgram() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (input_ >= 0) close(input_);
}

bool RunningProgram::wait_until_handled(int signal) const {
  const std::string status_file = "/proc/" + std::to_string(pid_) + "/status";
  while (true) {
    std::ifstream status(status_file);
    bool alive = false;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("State:")) alive = line.find('Z') == std::string::npos;
      if (!line.starts_with("SigCgt:")) continue;
      const std::uint64_t caught = std::stoull(line.substr(7), nullptr, 16);
      if ((caught >> (signal - 1) & 1) != 0) return true;
    }
    if (!alive) return false;
    std::this_thread::yield();
  }
}

Outcome RunningProgram::finish() {
  // A program that does not read its input must not end this one.
  signal(SIGPIPE, SIG_IGN);
  std::string_view rest = settings_.input;
  while (!rest.empty()) {
    const ssize_t written = write(input_, rest.data(), rest.size());
    if (written <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  close(input_);
  input_ = -1;
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  Outcome outcome;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (settings_.stdout_to.empty()) {
    outcome.out = read_file(out_);
    fs::remove(out_);
  }
  outcome.err = read_file(err_);
  fs::remove(err_);
  return outcome;
}

Outcome massact(const Arguments& arguments, const RunSettings& settings) {
  return RunningProgram(arguments, settings).finish();
}

fs::path fresh_folder() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string(info->test_suite_name()) + "." + info->name();
  for (char& c : name) {
    if (c == '/') c = '_';
  }
  const fs::path folder = fs::temp_directory_path() / "massact-cli-tests" / name;
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace massact::testing
