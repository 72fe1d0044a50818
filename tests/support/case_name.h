// Names of parameterised tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>

namespace t2v::test {

// The parameter, with '_' in the place of what a test's name may not hold.
inline std::string name_of(const testing::TestParamInfo<const char*>& value) {
  std::string name = value.param;
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

}  // namespace t2v::test
