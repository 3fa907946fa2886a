#include "massact/cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include "massact/cli/terminal.h"

namespace massact {

Output::Output(const OutputFlags& flags, std::string_view model_hash)
    : json_(flags.json), quiet_(flags.quiet) {
  if (!flags.out.empty()) directory_.emplace(flags.out, model_hash, flags.force);
}

void Output::deliver(const std::string& json, const Files& files, const Text& text) const {
  std::string report;
  if (directory_) {
    const std::vector<ResultFile> written = files(json);
    directory_->write(written);
    report = (directory_->path() / written.back().name).string();
  }
  print(json_ ? json : text(text_style_of(STDOUT_FILENO)));
  if (directory_ && !quiet_) fmt::print(stderr, "Report: {}\n", report);
}

}  // namespace massact
