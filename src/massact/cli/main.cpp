#include "massact/cli/app.h"

int main(int argc, char** argv) { return static_cast<int>(massact::run_program(argc, argv)); }
