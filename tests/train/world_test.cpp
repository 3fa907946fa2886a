// The environment that describes a data-parallel run.
#include "train/world.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "massact/base/error.h"

namespace massact::train {
namespace {

class Environment : public testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) ::unsetenv(name);
  }
};

TEST_F(Environment, WithoutVariablesThereIsOneRank) {
  const auto world = join_world();
  EXPECT_EQ(world->size(), 1);
  EXPECT_TRUE(world->is_first());
  at::Tensor values = at::ones({2});
  world->average(values);
  EXPECT_TRUE(at::equal(values, at::ones({2})));
}

TEST_F(Environment, IncompleteOrWrongVariablesAreNamed) {
  ::setenv("WORLD_SIZE", "2", 1);
  try {
    join_world();
    FAIL() << "no RANK";
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "RANK");
  }
  ::setenv("RANK", "2", 1);  // ranks are 0 and 1
  EXPECT_THROW(join_world(), Error);
  ::setenv("RANK", "0", 1);
  ::setenv("WORLD_SIZE", "two", 1);
  EXPECT_THROW(join_world(), Error);
}

}  // namespace
}  // namespace massact::train
