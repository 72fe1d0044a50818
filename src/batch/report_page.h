// The fixed parts of a batch's report: how it looks, and its filter, order and player.
#pragma once

namespace t2v {

extern const char* const report_style;
extern const char* const report_script;
extern const char* const report_controls;  // a form that the script shows

}  // namespace t2v
