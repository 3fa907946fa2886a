// Help, version, completion, and command lines that are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/models.h"
#include "cli/program.h"

namespace massact::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Usage, HelpNamesEveryCommandAndEveryCommandHasExamples) {
  const Outcome help = massact({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* command : {"scan", "inspect", "trace", "bench", "families", "completion"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    const Outcome own = massact({command, "--help"});
    EXPECT_EQ(own.status, 0);
    EXPECT_THAT(own.out, HasSubstr("Examples:\n"));
    EXPECT_THAT(own.err, IsEmpty());
  }
}

TEST(Usage, VersionEverywhere) {
  for (const Arguments& line : {Arguments{"--version"}, Arguments{"scan", "--version"}}) {
    const Outcome outcome = massact(line);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_THAT(outcome.out, MatchesRegex("massact [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  }
}

TEST(Usage, NothingAtAllPrintsTheHelpToStderr) {
  const Outcome outcome = massact({});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("Usage:"));
}

struct WrongLine {
  const char* name;
  Arguments arguments;
  const char* said;
};

class WrongUsage : public ::testing::TestWithParam<WrongLine> {};

TEST_P(WrongUsage, IsRefusedWithStatusTwoAndAHint) {
  const Outcome outcome = massact(GetParam().arguments);
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, StartsWith("massact: ["));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().said));
}

const std::string kModel = kPlanted.string();

INSTANTIATE_TEST_SUITE_P(
    Lines, WrongUsage,
    ::testing::Values(
        WrongLine{"command", {"scna", kModel}, "nearest: scan"},
        WrongLine{"flag", {"scan", kModel, "--txt", "x"}, "nearest: --text"},
        WrongLine{"beginning_of_flags",
                  {"scan", kModel, "--seq", "12"},
                  "there is no flag --seq (nearest: --seq-len, --sequences)"},
        WrongLine{"nothing_behind_dashes", {"scan", "--"}, "[scan] MODEL is required"},
        WrongLine{"flag_without_model", {"scan", "--squences", "3"}, "--sequences"},
        WrongLine{"no_model", {"scan"}, "MODEL"},
        WrongLine{"number", {"scan", kModel, "--seq-len", "many"}, "--seq-len"},
        WrongLine{"zero", {"scan", kModel, "--sequences", "0"}, "expected at least 1, got 0"},
        WrongLine{"no_threads", {"eval", kModel, "--threads", "0"}, "expected at least 1, got 0"},
        WrongLine{"too_many_threads",
                  {"inspect", kModel, "--threads", "33000"},
                  "--threads: expected at most 1024, got 33000"},
        WrongLine{"part_of_a_thread", {"scan", kModel, "--threads", "1.5"}, "whole number"},
        WrongLine{"no_layers", {"bench", "--layers", "0"}, "--layers: expected at least 1, got 0"},
        WrongLine{"no_ratio",
                  {"registers", kModel, "--outlier-ratio", "0"},
                  "expected more than 0, got 0"},
        WrongLine{"below_zero", {"explain", kModel, "--spike", "-1"}, "expected 0 or more, got -1"},
        WrongLine{"empty_memory", {"scan", kModel, "--memory", ""}, "--memory: expected a value"},
        WrongLine{"empty_file", {"bench", "--file", ""}, "--file: expected a value"},
        WrongLine{"empty_out", {"scan", kModel, "--out", ""}, "--out: expected a value"},
        WrongLine{"empty_model", {"scan", ""}, "MODEL: expected a value"},
        WrongLine{"bos", {"scan", kModel, "--bos", "maybe"}, "--bos"},
        WrongLine{"rule", {"scan", kModel, "--rule", "huge"}, "huge"},
        WrongLine{"memory", {"scan", kModel, "--memory", "lots"}, "--memory"},
        WrongLine{"layers", {"scan", kModel, "--layers", "7"}, "0 (the embedding) to 6"},
        WrongLine{"too_long", {"scan", kModel, "--seq-len", "513"}, "at most 512"},
        WrongLine{"text_and_tokens", {"scan", kModel, "--text", "a", "--tokens", "b"}, "--t"},
        WrongLine{
            "site", {"trace", kModel, "--site", "hook_resid_pots", "--out", "x"}, "resid_post"},
        WrongLine{"site_block",
                  {"trace", kModel, "--site", "blocks.6.hook_resid_post", "--out", "x"},
                  "6"},
        WrongLine{"absent_site",
                  {"trace", kModel, "--site", "hook_pos_embed", "--out", "x"},
                  "pos_embed"},
        WrongLine{
            "layers_of_full_name",
            {"trace", kModel, "--site", "blocks.1.attn.hook_q", "--layers", "1", "--out", "x"},
            "--layers"},
        WrongLine{"shell", {"completion", "tcsh"}, "bash"}),
    [](const auto& line) { return std::string(line.param.name); });

TEST(Usage, CompletionIsAScriptThatItsShellAccepts) {
  const Outcome bash = massact({"completion", "bash"});
  EXPECT_EQ(bash.status, 0);
  EXPECT_THAT(bash.out, HasSubstr("--seq-len"));
  const auto script = fresh_folder() / "completion.bash";
  // The function, asked for the words after "massact scan --rul".
  write_file(script, bash.out +
                         "\nCOMP_WORDS=(massact scan --rul)\nCOMP_CWORD=2\n_massact\n"
                         "[ \"${COMPREPLY[*]}\" = --rule ] || exit 1\n");
  EXPECT_EQ(std::system(("bash " + script.string()).c_str()), 0);
  EXPECT_THAT(massact({"completion", "zsh"}).out, StartsWith("#compdef massact"));
}

TEST(Usage, CompletionOfFishNamesEveryFlagWithItsCommand) {
  const Outcome fish = massact({"completion", "fish"});
  EXPECT_EQ(fish.status, 0);
  EXPECT_THAT(fish.out, HasSubstr("-n '__fish_seen_subcommand_from scan' -l seq-len -r -d "));
  EXPECT_THAT(fish.out, HasSubstr("-n '__fish_seen_subcommand_from scan' -l force -d "));
}

TEST(Usage, TheManualPageIsWhatManReads) {
  const Outcome page = massact({"man"});
  EXPECT_EQ(page.status, 0);
  EXPECT_THAT(page.out, StartsWith(".TH MASSACT 1"));
  if (std::system("command -v groff > /dev/null") != 0) GTEST_SKIP() << "no groff to render it";
  const auto folder = fresh_folder();
  write_file(folder / "massact.1", page.out);
  const std::string render = "groff -man -ww -Tascii " + (folder / "massact.1").string() + " > " +
                             (folder / "text").string() + " 2> " + (folder / "warnings").string();
  EXPECT_EQ(std::system(render.c_str()), 0);
  EXPECT_THAT(read_file(folder / "warnings"), IsEmpty());
  EXPECT_THAT(read_file(folder / "text"), HasSubstr("Tokens per sequence, BOS included"));
  EXPECT_THAT(read_file(folder / "text"), HasSubstr("massact scan models/mini-llama"));
}

TEST(Usage, AFullStdoutIsAnError) {
  RunSettings settings;
  settings.stdout_to = "/dev/full";
  for (const Arguments& line :
       {Arguments{"--help"}, Arguments{"--version"}, Arguments{"inspect", kPlanted.string()}}) {
    const Outcome outcome = massact(line, settings);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("massact: [stdout]"));
  }
}

TEST(Usage, ACurrentDirectoryThatIsGoneIsSaid) {
  RunSettings settings;
  settings.gone_directory = true;
  for (const char* command : {"scan", "report"}) {
    const Outcome outcome = massact({command, kPlanted.string(), "--out", "x"}, settings);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("current directory"));
    EXPECT_THAT(outcome.err, Not(HasSubstr("internal")));
  }
}

}  // namespace
}  // namespace massact::testing
