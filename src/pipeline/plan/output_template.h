// Output names with fields: clips/{index:04}-{prompt}-{seed}.mp4
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace t2v {

struct OutputFields {
  int64_t index = 0;  // from 0
  int64_t seed = 0;
  std::string prompt;
  std::optional<std::string> id = {};  // of an item of a batch, whose names may not depend on the day: with
                                       // it there is {id}, without it {date}
};

// Replaces {index} {seed} {prompt}, and {date} or {id}; {index:04} and {seed:04} pad with zeros. The prompt
// becomes lower-case letters, digits and hyphens, at most 60 bytes, so it cannot leave the folder. {{ and }}
// stand for braces. Throws Error{usage} for an unknown field.
std::string expand_output(const std::string& pattern, const OutputFields& fields);

// The prompt as {prompt} writes it, of at most `length` bytes.
std::string file_name_of_prompt(const std::string& prompt, std::size_t length = 60);

// `name` and `suffix` as the name of one file. Where that would have more bytes than a name may, the end of
// `name` gives way to its hash.
std::string name_that_fits(const std::string& name, const std::string& suffix);

// Whether expansion differs from clip to clip: {index} or {seed} occurs. Throws Error{usage} as
// expand_output.
bool distinguishes_clips(const std::string& pattern);

}  // namespace t2v
