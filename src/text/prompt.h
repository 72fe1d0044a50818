// Prompts as the reference pipelines clean them.
#pragma once

#include <string>

namespace t2v {

// Wan's cleaning: ftfy.fix_text, html.unescape twice, runs of white space to one space, ends stripped.
// Source: diffusers pipelines/wan/pipeline_wan.py, prompt_clean (basic_clean, whitespace_clean); ftfy 6.3 fix_text with its default configuration.
// `prompt` is valid UTF-8.
std::string clean_prompt(const std::string& prompt);

}  // namespace t2v
