// The one exception family of massact. The library never prints and never aborts: everything that
// can go wrong with a user's input is an Error whose text reads `[where] expected … got … (hint)`.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace massact {

/// Base of all errors. `where` names the file, tensor, field, site or flag that is at fault.
class Error : public std::runtime_error {
 public:
  Error(std::string_view where, std::string_view message);

  /// The file, tensor, field, site or flag at fault, without the brackets.
  const std::string& where() const { return where_; }

 private:
  std::string where_;
};

/// The command line (or a library call's arguments) is wrong: exit status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The user asked to stop (Ctrl-C): exit status 130. Thrown by `check_interrupted()`.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted", "stopped by the user; nothing partial was written") {}
};

/// Throws an Error with a formatted message:
/// `fail(path, "expected a header of at least {} bytes, got {}", 8, n)`.
template <typename... Args>
[[noreturn]] void fail(std::string_view where, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(where, fmt::format(format, std::forward<Args>(args)...));
}

/// As `fail`, for a UsageError.
template <typename... Args>
[[noreturn]] void fail_usage(std::string_view where, fmt::format_string<Args...> format,
                             Args&&... args) {
  throw UsageError(where, fmt::format(format, std::forward<Args>(args)...));
}

/// Fails unless `condition` holds.
template <typename... Args>
void require(bool condition, std::string_view where, fmt::format_string<Args...> format,
             Args&&... args) {
  if (!condition) fail(where, format, std::forward<Args>(args)...);
}

}  // namespace massact
