// How long work tells somebody how far it is. The library calls it; the CLI draws it.
#pragma once

#include <cstdint>
#include <string_view>

namespace massact {

/// Receives progress. Called from the thread that runs the work, often: keep it cheap.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A phase begins, with `total` units of work (0: unknown). `unit` is a plural ("tokens").
  virtual void begin(std::string_view phase, std::uint64_t total, std::string_view unit) = 0;
  /// `done` units of the current phase are finished; `detail` is a short remark ("layer 3/32").
  virtual void update(std::uint64_t done, std::string_view detail) = 0;
  /// The phase is over.
  virtual void end() = 0;
};

/// Ignores everything.
class NoProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void update(std::uint64_t, std::string_view) override {}
  void end() override {}
};

}  // namespace massact
