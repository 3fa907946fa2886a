// The restricted unpickler over Python's own pickles (tests/fuzz/seeds/pickle) and hostile ones.
#include "massact/io/pickle.h"

#include "paths.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::read_all;
using testing::HasSubstr;
using Kind = PickleValue::Kind;

constexpr std::array<std::string_view, 1> kAllowed = {"collections.OrderedDict"};

std::string seed(const std::string& name) {
  return read_all(testing_support::source_folder() / "tests/fuzz/seeds/pickle" / name);
}

Pickle read(const std::string& bytes) {
  return {std::as_bytes(std::span(bytes)), "data.pkl", kAllowed};
}

TEST(Pickle, EveryProtocolGivesTheSameValues) {
  for (const char* protocol : {"2", "3", "4"}) {
    const std::string bytes = seed(std::string("valid-protocol-") + protocol);
    const Pickle pickle = read(bytes);
    const PickleValue* list = pickle.root().find("a");
    ASSERT_TRUE(list && list->is(Kind::list));
    ASSERT_EQ(list->items.size(), 10u);
    EXPECT_EQ(list->items[0]->integer, 1);
    EXPECT_EQ(list->items[1]->integer, -2);
    EXPECT_EQ(list->items[2]->real, 3.5);
    EXPECT_TRUE(list->items[3]->is(Kind::none));
    EXPECT_TRUE(list->items[4]->is(Kind::boolean) && list->items[4]->integer == 1);
    EXPECT_EQ(list->items[5]->text, "é");
    EXPECT_EQ(list->items[6]->items.size(), 0u);
    EXPECT_EQ(list->items[8]->items.size(), 4u);
    EXPECT_EQ(list->items[9]->integer, std::int64_t{1} << 40);
    const PickleValue* inner = pickle.root().find("b");
    ASSERT_TRUE(inner && inner->find("c"));
    EXPECT_EQ(inner->find("c")->text, std::string(300, 'd'));
    EXPECT_EQ(pickle.root().find("z"), nullptr);
  }
}

TEST(Pickle, WhatIsNotWhitelistedIsRefusedByName) {
  const auto refusal = [](const char* name) {
    const std::string bytes = seed(name);
    return error_of([&] { read(bytes); });
  };
  EXPECT_THAT(refusal("refused-system"), HasSubstr("refused the global 'posix.system'"));
  EXPECT_THAT(refusal("refused-system-4"), HasSubstr("refused the global 'posix.system'"));
  EXPECT_THAT(refusal("refused-builtins"), HasSubstr("'__builtin__.eval'"));
  EXPECT_THAT(refusal("refused-inst"), HasSubstr("opcode INST"));
  EXPECT_THAT(refusal("refused-newobj"), HasSubstr("opcode NEWOBJ"));
  EXPECT_THAT(refusal("refused-extension"), HasSubstr("opcode EXT1"));
  EXPECT_THAT(refusal("refused-memo"), HasSubstr("number 7"));
  EXPECT_THAT(refusal("refused-below-mark"), HasSubstr("stack"));
  EXPECT_THAT(refusal("refused-length"), HasSubstr("truncated"));
  EXPECT_THAT(refusal("refused-protocol-5"), HasSubstr("protocol 2 to 4"));
}

}  // namespace
}  // namespace massact
