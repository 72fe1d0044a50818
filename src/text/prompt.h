// Prompts as the reference pipelines clean them.
#pragma once

#include <string>

namespace t2v {

// Wan's cleaning: ftfy's fix_text (entities, wrong encodings, ligatures, width, quotes, line breaks, control
// characters, NFC), html.unescape twice, runs of white space to one space, none at the ends. Source:
// diffusers pipelines/wan/pipeline_wan.py, prompt_clean; ftfy 6.3 fix_text with its default configuration;
// Python 3.11 html.unescape. Left out: ftfy's repair of lone surrogates, which UTF-8 cannot hold, and
// Python's refusal of numeric references of more than 4300 digits (they become U+FFFD here). Unicode
// properties are those of the utf8proc in use, which may know characters that Python's version does not.
// Throws Error{usage} when `prompt` is not UTF-8.
std::string clean_prompt(const std::string& prompt);

}  // namespace t2v
