// A batch's folder as one web page that needs nothing else: stills, clips, prompts, seeds, settings, failures
// and times.
#pragma once

#include <cstdint>
#include <filesystem>

namespace t2v {

struct BatchReportOptions {
  std::filesystem::path out;                // NAME.html; default: report.html in the batch's folder
  int64_t embed_bytes = int64_t{64} << 20;  // clips are put into the page up to so many bytes in all, the
                                            // rest are linked
};

struct BatchReport {
  std::filesystem::path path;
  int64_t items = 0, embedded = 0, linked = 0;  // of the batch; clips within the page; clips beside it
};

// Written atomically. Throws Error{usage} when the folder holds no manifest or `out` is no .html,
// Error{bad_input} for a damaged one, Error{output}.
BatchReport write_batch_report(const std::filesystem::path& folder, const BatchReportOptions& options);

}  // namespace t2v
