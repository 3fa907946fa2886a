// Looking at what the program printed and wrote.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/program.h"
#include "paths.h"

namespace massact::testing {

inline nlohmann::json json_file(const std::filesystem::path& file) {
  return nlohmann::json::parse(read_file(file));
}

/// "scan.schema.json" of docs/schema, for schema_errors.
inline nlohmann::json schema(const std::string& name) {
  return json_file(testing_support::source_folder() / "docs/schema" / name);
}

/// On one line, wherever lines were broken.
inline std::string flat(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// Status 2, nothing on stdout, and `said` on stderr.
inline void expect_usage_error(const Outcome& outcome, const std::string& said) {
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::HasSubstr(said));
  EXPECT_THAT(outcome.out, ::testing::IsEmpty());
}

}  // namespace massact::testing
