#include <fmt/format.h>

#include "massact/report/version.h"

int main() { fmt::print("massact {}\n", massact::version()); }
