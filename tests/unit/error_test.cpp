#include "massact/base/error.h"

#include <gtest/gtest.h>

#include "massact/base/interrupt.h"
#include "massact/base/units.h"

namespace massact {
namespace {

TEST(Error, TextNamesThePlace) {
  try {
    fail("config.json", "expected {} got {}", 4, 5);
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[config.json] expected 4 got 5");
    EXPECT_EQ(error.where(), "config.json");
  }
}

TEST(Interrupt, IsSeenOnceAskedFor) {
  EXPECT_NO_THROW(check_interrupted());
  request_interrupt();
  EXPECT_THROW(check_interrupted(), Interrupted);
  clear_interrupt();
  EXPECT_NO_THROW(check_interrupted());
}

TEST(Units, ParseAndFormat) {
  EXPECT_EQ(parse_bytes("4096", "--memory"), 4096u);
  EXPECT_EQ(parse_bytes("3GiB", "--memory"), 3ull << 30);
  EXPECT_EQ(parse_bytes("1.5k", "--memory"), 1536u);
  for (const char* bad : {"", "x", "-1", "0", "3Q", "3GiBs", "nan", "1e30", "3 B B"}) {
    EXPECT_THROW(parse_bytes(bad, "--memory"), UsageError) << bad;
  }
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes_up(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes_up(7), "7 B");
  for (std::uint64_t bytes = 1000; bytes < std::uint64_t{1} << 50; bytes += bytes / 7 + 1) {
    const std::uint64_t said = parse_bytes(format_bytes_up(bytes), "bytes");
    EXPECT_GE(said, bytes);
    EXPECT_LE(static_cast<double>(said), 1.02 * static_cast<double>(bytes));
  }
  EXPECT_EQ(format_seconds(75.3), "1m15s");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(counted(1, "window"), "1 window");
  EXPECT_EQ(counted(1200, "window"), "1,200 windows");
}

}  // namespace
}  // namespace massact
