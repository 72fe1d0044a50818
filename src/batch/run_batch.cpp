#include "batch/run_batch.h"

#include <map>
#include <set>

#include "batch/file_hash.h"
#include "batch/leftovers.h"
#include "batch/manifest.h"
#include "batch/new_folders.h"
#include "pipeline/latents_file.h"
#include "pipeline/run/reporter.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

ManifestRow pending_row(const BatchItem& item) {
  ManifestRow row;
  row.id = item.id;
  row.position = item.position;
  row.prompt = item.prompt;
  row.settings = item.settings;
  row.settings_hash = item.settings_hash;
  row.seed = item.plan.clips.front().seed;
  row.file = item.file;
  row.fps = item.plan.fps;
  return row;
}

// Keeps the manifest while generate_all works, and passes on what it says. The manifest is used by one thread
// at a time, as clip_started and `finished` never overlap.
class Recorder : public Observer {
 public:
  // plans: of the items, in their order. begun: ids of items that an earlier run has not finished; it may
  // have kept latents of those whose clips it failed to write.
  Recorder(Manifest& manifest, const std::vector<BatchItem>& items, const std::vector<GenerationPlan>& plans,
           std::set<std::string> begun, const BatchRun& run, BatchSummary& summary, Observer& inner,
           const std::function<void(const ItemReport&)>& report)
      : manifest_(manifest),
        items_(items),
        plans_(plans),
        begun_(std::move(begun)),
        started_(items_.size(), false),
        run_(run),
        summary_(summary),
        inner_(inner),
        report_(report) {}

  void progress(const Progress& progress) override { inner_.progress(progress); }
  void note(const std::string& line) override { inner_.note(line); }
  void check_cancelled() override { inner_.check_cancelled(); }
  void clip_started(std::size_t plan, std::size_t clip) override {
    if (!started_.at(plan)) manifest_.start(items_.at(plan).id);
    started_.at(plan) = true;
    inner_.clip_started(plan, clip);
  }

  void finished(const ClipOutcome& outcome) {
    if (!started_.at(outcome.plan)) clip_started(outcome.plan, outcome.clip);
    const auto& item = items_.at(outcome.plan);
    const auto& clip = plans_.at(outcome.plan).clips.front();
    ItemReport report{.id = item.id, .path = (run_.folder / item.file).string(), .seed = clip.seed};
    if (outcome.error)
      fail(item, *outcome.error, report);
    else
      succeed(item, clip, *outcome.result, report);
    ++finished_;
    inner_.progress({"clips", finished_, static_cast<int64_t>(items_.size())});
    inner_.between_calls([&] { report_(report); });
    if (unwritten_ > 1)
      throw Error(ErrorKind::output,
                  "two items in a row could not be written; the rest was not tried. " + report.error);
  }

 private:
  void succeed(const BatchItem& item, const PlannedClip& clip, const ClipResult& result, ItemReport& report) {
    const auto hash = hash_clip(run_.folder / item.file, result.frames);
    if (!hash)
      return fail(item,
                  Error(ErrorKind::output, (run_.folder / item.file).string() + ": cannot be read back"),
                  report);
    manifest_.finish(item.id,
                     {hash->bytes, hash->hash, result.frames, result.denoise_seconds, result.decode_seconds});
    if (begun_.contains(item.id)) remove_kept_latents(clip);
    report.frames = result.frames;
    report.denoise_seconds = result.denoise_seconds;
    report.decode_seconds = result.decode_seconds;
    ++summary_.made;
    unwritten_ = 0;
  }

  // The clip is there now.
  static void remove_kept_latents(const PlannedClip& clip) {
    const auto path = kept_latents_path(clip.output);
    std::error_code ignored;
    if (clip.save_latents != path.string()) fs::remove(path, ignored);
  }

  void fail(const BatchItem& item, const Error& error, ItemReport& report) {
    manifest_.fail(item.id, error.what(), error.exit_code());
    report.what = ItemReport::What::failed;
    report.error = error.what();
    report.exit_code = error.exit_code();
    ++summary_.failed;
    unwritten_ = error.kind() == ErrorKind::output ? unwritten_ + 1 : 0;
  }

  Manifest& manifest_;
  const std::vector<BatchItem>& items_;
  const std::vector<GenerationPlan>& plans_;
  std::set<std::string> begun_;
  std::vector<bool> started_;
  const BatchRun& run_;
  BatchSummary& summary_;
  SerialObserver inner_;
  const std::function<void(const ItemReport&)>& report_;
  int64_t finished_ = 0;
  int unwritten_ = 0;  // items in a row
};

ItemReport report_of_row(const ManifestRow& row, const fs::path& folder, ItemReport::What what) {
  return {.what = what,
          .id = row.id,
          .path = (folder / row.file).string(),
          .seed = row.seed,
          .frames = row.frames,
          .denoise_seconds = row.denoise_seconds,
          .decode_seconds = row.decode_seconds,
          .error = row.error,
          .exit_code = row.exit_code};
}

// What was rounded or cut is the same for most items, and said once. Takes the plans out of the items,
// without their notes.
std::vector<GenerationPlan> take_plans(std::vector<BatchItem>& items, Observer& observer) {
  std::map<std::string, int64_t> notes;
  std::vector<GenerationPlan> plans;
  for (auto& item : items) {
    for (const auto& note : item.plan.notes) ++notes[note];
    plans.push_back(std::move(item.plan));
    plans.back().notes.clear();
  }
  for (const auto& [note, times] : notes)
    observer.note(note + (times > 1 ? " (" + std::to_string(times) + " clips)" : ""));
  return plans;
}

}  // namespace

const char* report_name(ItemReport::What what) {
  switch (what) {
    case ItemReport::What::skipped:
      return "skipped";
    case ItemReport::What::done:
      return "done";
    case ItemReport::What::failed:
    case ItemReport::What::left_failed:
      return "failed";
  }
  return "";
}

BatchSummary run_batch(std::vector<BatchItem> items, const BatchRun& run, Observer& observer,
                       const std::function<void(const ItemReport&)>& report) {
  NewFolders folders;
  folders.create(run.folder / ".t2v");
  folders.keep();
  const ShardLock lock(run.folder, run.shard);
  Manifest manifest(run.folder, run.shard);
  const auto rows_before = read_all_manifests(run.folder);
  manifest.continue_after(rows_before);
  const auto decisions = decide(items, rows_before, run.folder, run.redo);
  for (const auto& note : decisions.notes) observer.note(note);

  BatchSummary summary{.items = static_cast<int64_t>(items.size())};
  std::vector<BatchItem> missing;
  std::vector<ManifestRow> rows;
  std::vector<std::string> keep;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& decision = decisions.of_item[i];
    if (decision.action == ItemDecision::Action::make) {
      rows.push_back(pending_row(items[i]));
      missing.push_back(std::move(items[i]));
      continue;
    }
    keep.push_back(items[i].id);
    const bool skipped = decision.action == ItemDecision::Action::skip;
    ++(skipped ? summary.skipped : summary.failed);
    report(report_of_row(*decision.row, run.folder,
                         skipped ? ItemReport::What::skipped : ItemReport::What::left_failed));
  }
  remove_leftovers(missing, run.folder);
  for (const auto& id : decisions.replaced) manifest.remove(id);
  manifest.enter(rows, keep);
  if (missing.empty()) return summary;

  const auto plans = take_plans(missing, observer);
  observer.progress({"clips", 0, static_cast<int64_t>(missing.size())});
  std::set<std::string> begun;  // also where the disk was too full for the manifest to say that a clip had
                                // failed
  for (const auto& row : rows_before)
    if (row.state != ItemState::done) begun.insert(row.id);
  Recorder recorder(manifest, missing, plans, std::move(begun), run, summary, observer, report);
  auto limits = run.limits;
  limits.restart_changed = run.redo != Redo::nothing;
  try {
    summary.preparation = generate_all(plans, limits, recorder,
                                       [&](const ClipOutcome& outcome) { recorder.finished(outcome); });
  } catch (...) {
    try {
      manifest.release();
    } catch (const Error&) {  // the next run does it; the first error is the one to tell
    }
    throw;
  }
  return summary;
}

}  // namespace t2v
