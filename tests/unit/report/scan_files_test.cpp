#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "json_schema.h"
#include "massact/report/scan_csv.h"
#include "massact/report/scan_json.h"
#include "paths.h"
#include "unit/report/sample_scan.h"

namespace massact {
namespace {

using ::massact::testing::sample_empty_scan;
using ::massact::testing::sample_scan;
using ::massact::testing::schema_errors;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

json scan_schema() {
  std::ifstream file(testing_support::source_folder() / "docs/schema/scan.schema.json");
  return json::parse(file);
}

TEST(ScanJson, FollowsItsSchema) {
  const json schema = scan_schema();
  EXPECT_THAT(schema_errors(json::parse(scan_json_text(sample_scan(), "ab")), schema), IsEmpty());
  EXPECT_THAT(schema_errors(json::parse(scan_json_text(sample_empty_scan(), "ab")), schema),
              IsEmpty());
}

TEST(ScanJson, SchemaRefusesWhatIsNotAScan) {
  const json schema = scan_schema();
  json scan = json::parse(scan_json_text(sample_scan(), "ab"));
  scan["schema_version"] = 2;
  scan["layers"][0].erase("median");
  scan["layers"][1]["top"].push_back(1.0);
  scan["findings"]["findings"][0]["label"] = "huge";
  scan["run"]["extra"] = true;
  scan["model"]["width"] = 1.5;
  EXPECT_THAT(schema_errors(scan, schema),
              ::testing::UnorderedElementsAre(
                  HasSubstr("$.schema_version"), HasSubstr("$.layers[0]: lacks \"median\""),
                  HasSubstr("$.layers[1].top: has too many"), HasSubstr(".label"),
                  HasSubstr("unknown field extra"), HasSubstr("$.model.width")));
}

TEST(ScanJson, KeepsValuesAsMeasured) {
  ScanResult result = sample_scan();
  result.layers[1].largest[0].value = 0.1f;
  result.layers[1].sequences[1].median = 1.0 / 3.0;
  const json scan = json::parse(scan_json_text(result, "ab"));
  EXPECT_EQ(scan["layers"][1]["largest"][0]["value"].get<float>(), 0.1f);
  EXPECT_EQ(scan["layers"][1]["sequences"][1]["median"].get<double>(), 1.0 / 3.0);
  EXPECT_EQ(scan["findings"]["findings"][0]["token"].get<std::string>(), ",\n\"é");
}

TEST(ScanJson, SurvivesTokensThatAreNoText) {
  ScanResult result = sample_scan();
  result.findings.findings[0].token = "\xe2\x82";
  EXPECT_NO_THROW(json::parse(scan_json_text(result, "ab")));
}

// Splits RFC 4180 text, quoted newlines and all.
std::vector<std::vector<std::string>> csv_rows(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1);
  std::string field;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      field += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ',' || c == '\n')) {
      rows.back().push_back(std::exchange(field, ""));
      if (c == '\n') rows.emplace_back();
    } else {
      field += c;
    }
  }
  rows.pop_back();
  return rows;
}

void expect_rectangular(const std::vector<std::vector<std::string>>& rows, std::size_t lines) {
  ASSERT_EQ(rows.size(), lines + 1);
  for (const auto& row : rows) EXPECT_EQ(row.size(), rows[0].size());
}

std::string cell(const std::vector<std::vector<std::string>>& rows, std::size_t row,
                 const std::string& column) {
  const auto at = std::find(rows[0].begin(), rows[0].end(), column);
  return at == rows[0].end() ? "no such column"
                             : rows[row].at(static_cast<std::size_t>(at - rows[0].begin()));
}

TEST(ScanCsv, LayersHaveOneLineEach) {
  const auto rows = csv_rows(scan_layers_csv(sample_scan()));
  expect_rectangular(rows, 4);
  EXPECT_EQ(cell(rows, 4, "layer"), "3");
  EXPECT_EQ(cell(rows, 4, "top1"), "2500");
  EXPECT_EQ(cell(rows, 4, "strict_count"), "2");
}

TEST(ScanCsv, FindingsOfEveryRuleWithAwkwardTokens) {
  const auto rows = csv_rows(scan_findings_csv(sample_empty_scan()));
  expect_rectangular(rows, 1);
  EXPECT_EQ(cell(rows, 1, "set"), "candidates");
  EXPECT_EQ(cell(rows, 1, "label"), "not massive");
  EXPECT_EQ(cell(rows, 1, "token"), ",\n\"é");
  EXPECT_EQ(cell(rows, 1, "example_after"), " who said \"no\"");
}

TEST(ScanCsv, TopValuesAsMeasured) {
  const auto rows = csv_rows(scan_top_csv(sample_scan()));
  expect_rectangular(rows, 4);
  EXPECT_EQ(cell(rows, 4, "value"), "-2500");
  EXPECT_EQ(cell(rows, 4, "rank"), "1");
}

}  // namespace
}  // namespace massact
