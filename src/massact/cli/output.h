// How a command hands over what it found: files, JSON or text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "massact/cli/flags.h"
#include "massact/report/result_dir.h"
#include "massact/report/text_style.h"

namespace massact {

class Output {
 public:
  /// Checks --out, so that a wrong one shows before hours of work (Error, as ResultDir says).
  Output(const OutputFlags& flags, std::string_view model_hash);

  /// Null without --out.
  const ResultDir* directory() const { return directory_ ? &*directory_ : nullptr; }

  using Files = std::function<std::vector<ResultFile>(const std::string& json)>;
  using Text = std::function<std::string(const TextStyle&)>;
  /// Writes `files`, the JSON's last, with --out; prints the JSON with --json, else `text`.
  void deliver(const std::string& json, const Files& files, const Text& text) const;

 private:
  std::optional<ResultDir> directory_;
  bool json_, quiet_;
};

}  // namespace massact
