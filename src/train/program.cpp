#include "train/program.h"

#include <csignal>
#include <cstdio>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"

namespace massact::train {

void say(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

int parse_and_run(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
}

int run_program(const std::string& name, const std::string& when_stopped,
                const std::function<int()>& work) {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { request_interrupt(); });
  try {
    return work();
  } catch (const UsageError& error) {
    say(name + ": " + error.what());
    return 2;
  } catch (const Interrupted&) {
    say(name + ": " + when_stopped);
    return 130;
  } catch (const std::exception& error) {
    say(name + ": " + error.what());
    return 1;
  }
}

}  // namespace massact::train
