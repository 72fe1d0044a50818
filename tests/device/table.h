#pragma once

#include <string>

namespace t2v::test {

// Runs every stage on T2V_TEST_DEVICE and writes FOLDER/device-check.txt, .json and .log. Returns the exit
// status: 0 when every stage passed.
int make_table(const std::string& folder);

}  // namespace t2v::test
