#include "cli/app.h"

int main(int argc, char** argv) { return t2v::run_command_line(argc, argv); }
