// What of a batch is finished already, by the manifests in its folder and by the files themselves.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "batch/manifest.h"
#include "batch/plan_batch.h"

namespace t2v {

enum class Redo { nothing, failed, changed, all };
// "failed", "changed", "all". Throws Error{usage}.
Redo parse_redo(const std::string& name);

// Whether a failure may go away by itself (a full disk, a busy machine), so that the next run tries again;
// NaN, a bad model and a bad request do not.
bool may_be_retried(int exit_code);

struct ItemDecision {
  enum class Action { make, skip, leave_failed } action = Action::make;
  std::optional<ManifestRow> row = {};  // of the finished or failed item
};

struct Decisions {
  std::vector<ItemDecision> of_item;  // one for each item given
  std::vector<std::string> notes;     // what is made again though it was finished, and why
  std::vector<std::string> replaced;  // ids of items whose files others take over
};

// `rows`: of all manifests in the folder. A clip is finished when a row says so and its file has the row's
// size and hash: then a row that another shard or an earlier layout wrote counts as well as any. Throws
// Error{usage} for all items whose settings are no longer those of their finished clips, with the
// differences, and for files that no manifest knows, unless `redo` allows to replace them.
Decisions decide(const std::vector<BatchItem>& items, const std::vector<ManifestRow>& rows,
                 const std::filesystem::path& folder, Redo redo);

// "steps: 20 -> 30, seed: 1 -> 2": where two JSON objects of settings differ.
std::string settings_difference(const std::string& before, const std::string& after);

// One row for each item of a folder: of rows with the same id, and of rows with the same file, the one that
// was changed last. In order of position.
std::vector<ManifestRow> newest_rows(std::vector<ManifestRow> rows);

// Of all manifests of the folder.
std::vector<ManifestRow> read_all_manifests(const std::filesystem::path& folder);

}  // namespace t2v
