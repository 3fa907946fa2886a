// What makes a report safe to open: text that stays text on its way into HTML and gnuplot.
#include "massact/report/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "massact/base/error.h"
#include "massact/report/gnuplot.h"
#include "massact/report/result_files.h"

namespace massact {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Page, NothingInTheDataCanEndItsElement) {
  if (!has_page()) GTEST_SKIP() << "built without Node";
  const nlohmann::ordered_json report = {{"label", "</script><img src=x><!--\xff & é"}};
  const std::string html = page_html(report);
  EXPECT_THAT(html, Not(HasSubstr("<img src=x>")));
  const std::string before = "type=\"application/json\">";
  const std::size_t begin = html.find(before) + before.size();
  const std::string data = html.substr(begin, html.find("</script>", begin) - begin);
  EXPECT_EQ(nlohmann::json::parse(data)["label"], "</script><img src=x><!--\xef\xbf\xbd & é");
}

TEST(Page, SaysThatItWasBuiltWithoutNode) {
  if (has_page()) GTEST_SKIP() << "built with Node";
  EXPECT_THROW(page_html({}), Error);
}

TEST(Gnuplot, StringsAreClosedByNothingInThem) {
  EXPECT_EQ(gnuplot_string("it's `x` $(y) \"z\"\n@w"), "'it''s `x` $(y) \"z\" @w'");
}

TEST(ResultFiles, NamesOfModelsAreDifferentForEveryFileSystem) {
  std::vector<ModelResults> models(4);
  for (ModelResults& model : models) model.source = "somewhere";
  models[0].label = "Llama";
  models[0].source = "a/Llama";
  models[1].label = "llama";
  models[1].source = "b/llama";
  models[2].label = "../é é";
  models[3].label = "..";
  tell_apart(models);
  EXPECT_EQ(models[0].label, "Llama (1: a/Llama)");
  EXPECT_EQ(models[1].label, "llama (2: b/llama)");
  EXPECT_NE(models[0].slug, models[1].slug);
  for (const ModelResults& model : models) {
    EXPECT_THAT(model.slug, ::testing::MatchesRegex("[a-z0-9_][a-z0-9._-]*"));
  }
}

}  // namespace
}  // namespace massact
