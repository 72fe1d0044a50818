// What the first bytes of a file say that libav does not hand on.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace t2v {

// Whether a y4m file carries t2v's remark that its samples are BT.709: the format itself has no tag for the
// matrix.
bool y4m_says_bt709(std::string_view beginning);

// The texts in UTF-8 (iTXt chunks, not compressed) that stand before a PNG file's pixels, by keyword. libav
// reads the other kinds alone. Source: PNG specification, third edition, section 11.3.3.4.
std::map<std::string, std::string> png_utf8_texts(std::string_view beginning);

}  // namespace t2v
