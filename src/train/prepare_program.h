// `prepare` is a program beside massact-train, because sentencepiece and libtorch cannot share a
// process everywhere: Debian's libsentencepiece exports a protobuf of its own, which breaks the one
// that Debian's libtorch loads.
#pragma once

#include <string>
#include <vector>

namespace massact::train {

/// Runs massact-train-prepare (from the folder of this program) with `arguments` and waits for it.
/// Returns its exit status; throws Error if it cannot be started.
int run_prepare_program(std::vector<std::string> arguments);

/// Replaces this process by massact-train-prepare, so that signals reach it. Returns only by
/// throwing Error if it cannot be started.
[[noreturn]] void become_prepare_program(std::vector<std::string> arguments);

}  // namespace massact::train
