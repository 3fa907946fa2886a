#include "massact/report/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace massact {
namespace {

using testing::HasSubstr;

BenchResult sample(int n) {
  BenchResult result;
  result.model = "llama-124m";
  result.layers = n;
  result.tokens = n;
  result.run.sequences = n;
  result.run.threads = n;
  result.run.seconds = 123.456;
  result.run.seconds_waiting = 100;
  result.peak_flops = 1.25e12;
  return result;
}

TEST(BenchText, OneIsSingular) {
  const TextStyle style{.width = 100};
  EXPECT_THAT(bench_text(sample(1), style), HasSubstr(", 1 layer, 1 sequence, 1 token, "));
  EXPECT_THAT(bench_text(sample(1), style), HasSubstr(", 1 thread, "));
  EXPECT_THAT(bench_text(sample(2), style), HasSubstr(", 2 layers, 2 sequences, 2 tokens, "));
  EXPECT_THAT(bench_text(sample(2), style), HasSubstr(", 2 threads, "));
}

// int8 is compared with the bf16 that it stands in for, which may well be slower.
TEST(BenchText, SaysWhoseRegistersWhereTheyAreNotTheRuns) {
  const TextStyle style{.width = 200};
  BenchResult result = sample(1);
  result.run.precision = ops::Precision::int8;
  EXPECT_THAT(bench_text(result, style), HasSubstr("that registers reach in bf16\n"));
  result.run.precision = ops::Precision::f32;
  EXPECT_THAT(bench_text(result, style), HasSubstr("that registers reach\n"));
}

TEST(BenchText, FitsTheTerminal) {
  for (const int width : {40, 80}) {
    std::istringstream lines(bench_text(sample(2048), {.width = width}));
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(display_width(line), width) << line;
    }
  }
}

}  // namespace
}  // namespace massact
