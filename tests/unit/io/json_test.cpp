#include "massact/io/json.h"

#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Json, ReadsWhatTheStandardAllows) {
  const auto value = parse_json(R"( {"a": [1, -2, 3.5, "é😀", true, null], "b": {"a": {}}} )", "x");
  EXPECT_EQ(value["a"][0], 1);
  EXPECT_EQ(value["a"][3], "é😀");
  EXPECT_TRUE(value["b"]["a"].is_object());
  EXPECT_EQ(value.dump(), R"({"a":[1,-2,3.5,"é😀",true,null],"b":{"a":{}}})");
  EXPECT_EQ(parse_json("18446744073709551615", "x").get<std::uint64_t>(), ~std::uint64_t{0});
}

struct BadJson {
  const char* name;
  std::string text;
  const char* message;
};

class JsonRefuses : public testing::TestWithParam<BadJson> {};

TEST_P(JsonRefuses, WithThePlace) {
  const auto message = error_of([&] { parse_json(GetParam().text, "config.json"); });
  EXPECT_THAT(message, testing::StartsWith("[config.json] "));
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_LT(message.size(), 400u);
  for (const char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << "a raw byte of the file";
}

std::string nested(int levels) {
  return std::string(static_cast<std::size_t>(levels), '[') +
         std::string(static_cast<std::size_t>(levels), ']');
}

INSTANTIATE_TEST_SUITE_P(
    Table, JsonRefuses,
    testing::Values(
        BadJson{"Empty", "", "unexpected end of input"},
        BadJson{"Truncated", "{\"a\":\n [1,", "line 2, byte 10"},
        BadJson{"Trailing", "{} x", "expected JSON"},
        BadJson{"DuplicateKey", "{\"a\": 1,\n \"b\": 2, \"a\": 3}", "got \"a\" twice (line 2"},
        BadJson{"NestedDuplicate", R"({"a": {"b": 1, "b": 2}})", "got \"b\" twice"},
        BadJson{"InvalidUtf8", "{\"a\": \"\xff\xfe\"}", "UTF-8"},
        BadJson{"OverlongUtf8", "{\"a\": \"\xc0\xaf\"}", "UTF-8"},
        BadJson{"LoneSurrogate", R"({"a": "\ud800"})", "surrogate"},
        BadJson{"TooDeep", nested(65), "at most 64 levels"},
        BadJson{"AttackDeep", std::string(10'000, '['), "at most 64 levels"},
        BadJson{"HugeNumber", "[1e999]", "overflow"}, BadJson{"NotANumber", "[NaN]", "invalid"},
        BadJson{"Comment", "{} // no", "expected JSON"},
        BadJson{"LongToken", "[\"" + std::string(100'000, 'x') + "\x01\"]", "control character"}),
    [](const auto& case_info) { return case_info.param.name; });

TEST(Json, AcceptsTheDeepestAllowedNesting) {
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth), "x"));
}

JsonObject config() {
  return {parse_json(R"({"layers": 12, "eps": 1e-5, "name": "gpt2", "tied": true, "absent": null,
                         "half": 1.5, "big": 4294967296, "negative": -1, "shape": [2, 3],
                         "mixed": [1, "x"], "huge": 1e300,
                         "rope_scaling": {"factor": "x", "deep": {"k": []}}})",
                     "config.json"),
          "config.json"};
}

TEST(JsonObject, GivesTypedFields) {
  const JsonObject object = config();
  EXPECT_EQ(object.get<int>("layers"), 12);
  EXPECT_EQ(object.get<double>("layers"), 12.0);
  EXPECT_EQ(object.get<double>("eps"), 1e-5);
  EXPECT_EQ(object.get<std::string>("name"), "gpt2");
  EXPECT_TRUE(object.get<bool>("tied"));
  EXPECT_EQ(object.get<std::int64_t>("big"), 4294967296);
  EXPECT_THAT(object.get<std::vector<std::int64_t>>("shape"), ElementsAre(2, 3));
  EXPECT_EQ(object.get_or<int>("absent", 7), 7);
  EXPECT_EQ(object.get_or<int>("none", 7), 7);
  EXPECT_EQ(object.get_or<int>("layers", 7), 12);
  EXPECT_FALSE(object.has("absent"));
  EXPECT_TRUE(object.has("tied"));
  EXPECT_THAT(object.object("rope_scaling").keys(), ElementsAre("deep", "factor"));
}

TEST(JsonObject, OutlivesItsParent) {
  const JsonObject inner = config().object("rope_scaling").object("deep");
  EXPECT_TRUE(inner.has("k"));
}

TEST(JsonObject, ErrorsNameThePath) {
  const JsonObject object = config();
  EXPECT_EQ(error_of([&] { object.object("rope_scaling").get<double>("factor"); }),
            "[config.json: rope_scaling.factor] expected a number, got \"x\"");
  EXPECT_EQ(error_of([&] { object.object("rope_scaling").object("deep").get<int>("k"); }),
            "[config.json: rope_scaling.deep.k] expected a whole number, got an array");
  EXPECT_EQ(error_of([&] { object.get<int>("half"); }),
            "[config.json: half] expected a whole number, got 1.5");
  EXPECT_EQ(error_of([&] { object.get<int>("big"); }),
            "[config.json: big] expected a whole number in [-2147483648, 2147483647], got "
            "4294967296");
  EXPECT_THAT(error_of([&] { object.get<std::uint64_t>("negative"); }), HasSubstr("got -1"));
  EXPECT_THAT(error_of([&] { object.get<float>("huge"); }), HasSubstr("fits a float"));
  EXPECT_EQ(error_of([&] { object.get<int>("none"); }),
            "[config.json: none] expected this field, got none");
  EXPECT_EQ(error_of([&] { object.get<std::vector<std::int64_t>>("mixed"); }),
            "[config.json: mixed[1]] expected a whole number, got \"x\"");
  EXPECT_EQ(error_of([&] { object.get<bool>("layers"); }),
            "[config.json: layers] expected true or false, got 12");
  EXPECT_EQ(error_of([&] { object.object("name"); }),
            "[config.json: name] expected an object, got \"gpt2\"");
  EXPECT_EQ(error_of([&] { JsonObject(parse_json("[]", "f"), "f"); }),
            "[f] expected a JSON object, got an array");
}

TEST(ReadTextFile, HasALimit) {
  const TemporaryDirectory directory;
  const auto path = directory.write("config.json", "{}");
  EXPECT_EQ(read_text_file(path, 2), "{}");
  EXPECT_EQ(read_text_file(directory.write("empty", ""), 2), "");
  EXPECT_THAT(error_of([&] { read_text_file(path, 1); }), HasSubstr("at most 1 bytes, got 2"));
  EXPECT_THAT(error_of([&] { read_text_file(directory / "none", 1); }), HasSubstr("no such file"));
  EXPECT_THAT(error_of([&] { read_text_file(directory.path(), 1); }), HasSubstr("a directory"));
  EXPECT_THAT(error_of([&] { read_text_file("/dev/zero", 100); }), HasSubstr("a regular file"));
}

}  // namespace
}  // namespace massact
