// Expecting an Error: its kind, and what its message names.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "t2v/error.h"

namespace t2v::test {

// Runs `action`, which should throw Error of `kind` with every one of `parts` in its message.
inline void expect_error(ErrorKind kind, const std::vector<std::string>& parts,
                         const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << message;
    for (const auto& part : parts)
      EXPECT_NE(message.find(part), std::string::npos)
          << "'" << part << "' is not in: " << message.substr(0, 1000);
    return;
  }
  ADD_FAILURE() << "no error, expected one with '" << (parts.empty() ? "" : parts[0]) << "'";
}

}  // namespace t2v::test
