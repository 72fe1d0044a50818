// The words of a text, as t2v.json lists those that a model knows.
#pragma once

#include <string>
#include <vector>

namespace t2v {

// Runs of ASCII letters and digits and of characters beyond ASCII, in order, with A to Z in lower case.
std::vector<std::string> words_of(const std::string& text);

}  // namespace t2v
