// Nothing that a command prints is wider than the terminal (docs/commands.md: down to 40 columns).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/models.h"
#include "cli/program.h"
#include "massact/report/text_style.h"

namespace massact::testing {
namespace {

const std::string kModel = kPlanted.string();
const Arguments kSmall = {"--text", kText.string(), "--seq-len", "64", "--threads", "2"};

Arguments on_images(const char* command) {
  const auto planted = kGolden / "planted-vit";
  return {command, (planted / "model").string(), "--images",
          (planted / "images/list.csv").string()};
}

struct Command {
  std::string name;
  Arguments arguments;
  bool reads_text = true;
};

class Narrow : public ::testing::TestWithParam<Command> {};

TEST_P(Narrow, FitsTheTerminal) {
  Arguments line = GetParam().arguments;
  if (GetParam().reads_text) line.insert(line.end(), kSmall.begin(), kSmall.end());
  for (const char* columns : {"40", "80"}) {
    for (const char* locale : {"C", "C.UTF-8"}) {
      RunSettings settings;
      settings.environment = {{"COLUMNS", columns}, {"LC_ALL", locale}};
      const Outcome outcome = massact(line, settings);
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      EXPECT_FALSE(outcome.out.empty());
      std::istringstream lines(outcome.out);
      for (std::string text; std::getline(lines, text);) {
        EXPECT_LE(display_width(text), std::stoi(columns)) << text;
      }
    }
  }
}

// Examples stay as they are, so that they can be copied.
TEST(NarrowHelp, IsWrappedAtWordsAndAsciiInThePlainLocale) {
  for (const char* command : {"scan", "explain", "ablate", "registers", "eval", "inspect", "trace",
                              "report", "bench", "families", "completion", ""}) {
    const Arguments line = *command == 0 ? Arguments{"--help"} : Arguments{command, "--help"};
    for (const char* columns : {"40", "80", "200"}) {
      RunSettings settings;
      settings.environment = {{"COLUMNS", columns}, {"LC_ALL", "C"}};
      const Outcome outcome = massact(line, settings);
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      std::istringstream lines(outcome.out);
      for (std::string text; std::getline(lines, text);) {
        for (const char c : text) EXPECT_TRUE((c & 0x80) == 0) << command << ": " << text;
        if (text.starts_with("  massact ") || text.starts_with("  source ")) continue;
        EXPECT_LE(display_width(text), std::stoi(columns)) << command << ": " << text;
      }
    }
  }
}

TEST(NarrowHelp, HoldsTheSameWordsAtEveryWidth) {
  std::vector<std::string> helps;
  for (const char* columns : {"40", "200"}) {
    RunSettings settings;
    settings.environment = {{"COLUMNS", columns}};
    std::istringstream words(massact({"scan", "--help"}, settings).out);
    std::string all;
    for (std::string word; words >> word;) all += word + " ";
    helps.push_back(all);
  }
  EXPECT_EQ(helps[0], helps[1]);
}

INSTANTIATE_TEST_SUITE_P(
    Commands, Narrow,
    ::testing::Values(
        Command{"scan", {"scan", kModel}}, Command{"explain", {"explain", kModel}},
        Command{"ablate", {"ablate", kModel, "--bos", "yes"}}, Command{"eval", {"eval", kModel}},
        Command{"inspect", {"inspect", kModel, "--tensors"}, false},
        Command{"scan_images", on_images("scan"), false},
        Command{"explain_images", on_images("explain"), false},
        Command{"registers", on_images("registers"), false},
        Command{"families", {"families"}, false},
        Command{"bench", {"bench", "--file", kModel, "--sequences", "1", "--threads", "1"}, false}),
    [](const auto& command) { return command.param.name; });

}  // namespace
}  // namespace massact::testing
