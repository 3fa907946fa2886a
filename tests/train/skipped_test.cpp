// Stands for the trainer's tests where it is not built, so that their absence is seen.
#include <gtest/gtest.h>

TEST(MassactTrain, IsNotBuilt) { GTEST_SKIP() << "libtorch was not found: no trainer, no tests"; }
