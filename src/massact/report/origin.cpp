#include "massact/report/origin.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string_view>
#include <thread>

namespace massact {
namespace {

constexpr std::string_view kPlainCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,/:@%";

// As a POSIX shell reads it back.
std::string shell_word(std::string_view word) {
  if (!word.empty() && word.find_first_not_of(kPlainCharacters) == std::string_view::npos) {
    return std::string(word);
  }
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("model name")) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string line;
  for (std::string word; std::getline(file, word, '\0');) {
    if (line.empty()) word = word.substr(word.rfind('/') + 1);  // the program, not where it lies
    line += (line.empty() ? "" : " ") + shell_word(word);
  }
  return line;
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, length};
}

nlohmann::ordered_json machine_json() {
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_size = static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  utsname system{};
  uname(&system);
  return {{"cpu", cpu_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"memory_bytes", pages * page_size},
          {"system", std::string(system.sysname) + " " + system.machine}};
}

nlohmann::ordered_json origin_json() {
  return {{"command", command_line()}, {"written", now_utc()}, {"machine", machine_json()}};
}

nlohmann::ordered_json model_json(const RunFacts& facts, std::string_view model_hash) {
  return {{"path", facts.model},
          {"family", facts.family},
          {"hash", model_hash},
          {"layers", facts.layers},
          {"width", facts.width}};
}

}  // namespace massact
