// Makes what is missing of a batch, and keeps account of it.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "batch/plan_batch.h"
#include "batch/resume.h"
#include "batch/shard.h"
#include "t2v/generate.h"

namespace t2v {

struct BatchRun {
  std::filesystem::path folder = {};
  Shard shard = {};
  Redo redo = Redo::nothing;
  BatchLimits limits = {};
};

// What is said of an item as it is dealt with.
struct ItemReport {
  enum class What { skipped, done, failed, left_failed } what = What::done;
  std::string id = {}, path = {};  // path: folder and file name
  int64_t seed = 0;
  int64_t frames = 0;
  double denoise_seconds = 0, decode_seconds = 0;
  std::string error = {};
  int exit_code = 0;
};
const char* report_name(ItemReport::What what);  // "skipped", "done", "failed"

struct BatchSummary {
  int64_t items = 0;                          // of the shard
  int64_t made = 0, skipped = 0, failed = 0;  // failed: now, or before and left so
  PreparationTimes preparation = {};
};

// items: of the shard. Makes those that are not finished; `report` is called for each one, skipped and made,
// from one thread at a time and never beside a call of the observer. Items that fail do not stop the others,
// but a second one in a row that cannot be written does: the disk is full or gone. Throws Error{output} then,
// when the manifest cannot be written, and when another process is at work on the shard; Error{usage} as
// decide(); Error{interrupted, terminated, hung_up} with what was running pending again.
BatchSummary run_batch(std::vector<BatchItem> items, const BatchRun& run, Observer& observer,
                       const std::function<void(const ItemReport&)>& report);

}  // namespace t2v
