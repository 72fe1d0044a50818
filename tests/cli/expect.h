// What the tests say about a finished program.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace t2v::test {

inline void expect_done(const ProgramResult& result) { EXPECT_EQ(result.code, 0) << result.err; }

// The path of a picture that the reference was given.
inline std::string picture(const std::string& name) { return (golden("wan-pictures") / name).string(); }

// What `t2v info --json` says of a file.
inline nlohmann::json info_of(const std::filesystem::path& path) {
  const auto result = run_program({"info", "--json", path.string()});
  expect_done(result);
  return nlohmann::json::parse(result.out);
}

// Ended with `code`, nothing on stdout, and every one of `parts` in a message that begins with "error: ".
inline void expect_refused(const ProgramResult& result, int code, const std::vector<std::string>& parts) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("error: "), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("internal error"), std::string::npos) << result.err;
  for (const auto& part : parts)
    EXPECT_NE(result.err.find(part), std::string::npos) << "'" << part << "' is not in: " << result.err;
}

}  // namespace t2v::test
