#include "pipeline/run/clip_writer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <fstream>

#include "base/atomic_file.h"
#include "base/file_status.h"
#include "base/json_text.h"
#include "pipeline/frames.h"
#include "pipeline/latents_file.h"
#include "pipeline/plan/memory.h"
#include "pipeline/provenance.h"
#include "pipeline/run/failures.h"
#include "pipeline/run/stopwatch.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t queue_capacity = 2;

fs::path folder_of(const PlannedClip& clip) { return fs::path(clip.output).parent_path(); }

// Whether a small file can still be written there.
bool is_writable(const fs::path& folder) {
  try {
    const AtomicFile probe((folder.empty() ? fs::path(".") : folder) / "t2v-write-test");
    std::ofstream out(probe.temporary_path(), std::ios::binary);
    out << std::string(std::size_t{64} << 10, ' ');
    out.close();
    return static_cast<bool>(out);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

ClipWriter::ClipWriter(VideoVae& vae, WriterOptions options, MemoryGate& memory, Reporter& reporter)
    : vae_(vae), options_(std::move(options)), memory_(memory), reporter_(reporter), thread_([this] {
        run();
      }) {}

ClipWriter::~ClipWriter() {
  {
    const std::lock_guard lock(mutex_);
    queue_.clear();
  }
  finish();
}

void ClipWriter::hand_over(const ClipTask& task, const at::Tensor& latents) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.size() < queue_capacity || reporter_.stopped(); });
  if (reporter_.stopped()) return;
  queue_.push_back({task, latents, std::nullopt});
  if (!latents.is_cpu()) {
    const c10::impl::VirtualGuardImpl card(latents.device().type());
    queue_.back().are_there.emplace(latents.device().type()).record(card.getStream(latents.device()));
  }
  changed_.notify_all();
}

void ClipWriter::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return (queue_.empty() && !writing_) || reporter_.stopped(); });
}

void ClipWriter::finish() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::string ClipWriter::obstacle(const PlannedClip& clip) const {
  const std::lock_guard lock(mutex_);
  const auto found = obstacles_.find(folder_of(clip));
  return found == obstacles_.end() ? "" : found->second;
}

std::optional<ClipWriter::Entry> ClipWriter::next() {
  std::unique_lock lock(mutex_);
  writing_ = false;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !queue_.empty() || closed_ || reporter_.stopped(); });
  if (queue_.empty() || reporter_.stopped()) return std::nullopt;
  auto entry = std::move(queue_.front());
  queue_.pop_front();
  writing_ = true;
  changed_.notify_all();
  return entry;
}

void ClipWriter::run() {
  const at::NoGradGuard no_grad;
  at::set_num_threads(options_.threads);
  std::unique_ptr<c10::StreamGuard> own_stream;  // on a card: beside what is denoised
  while (const auto entry = next()) {
    try {
      if (entry->are_there) {
        const auto device = entry->latents.device();
        const c10::impl::VirtualGuardImpl card(device.type());
        if (!own_stream)
          own_stream = std::make_unique<c10::StreamGuard>(card.getStreamFromGlobalPool(device));
        entry->are_there->block(own_stream->current_stream());
      }
      reporter_.finished(write(entry->task, entry->latents));
    } catch (...) {  // cancelled, or the receiver of the outcome has thrown
      reporter_.stop(std::current_exception());
    }
  }
  const std::lock_guard lock(mutex_);
  changed_.notify_all();  // whoever waits to hand over sees that the run has stopped
}

Json ClipWriter::provenance(const ClipTask& task) const {
  return provenance_of_clip(*task.plan, *task.clip, {options_.model_hash, options_.vae_hash});
}

std::unique_ptr<ClipSink> ClipWriter::sink_of(const ClipTask& task) const {
  const auto receiver = [&frames = options_.frames, plan = task.plan_index,
                         clip = task.clip_index](const FrameBlock& block) { frames(plan, clip, block); };
  auto sink = task.clip->output.empty() ? make_receiver_sink(receiver)
                                        : make_file_sink(encoder_options(task));
  return make_splicing_sink(std::move(sink), *task.plan, *task.content);
}

ClipStream ClipWriter::open(const ClipTask& task) { return {.sink = sink_of(task)}; }

ClipOutcome ClipWriter::close(const ClipTask& task, ClipStream& stream) {
  const Stopwatch closing;
  stream.sink->finish();
  return finished(task, stream.sink->written(), stream.decode_seconds + closing.seconds());
}

ClipOutcome ClipWriter::failed(const ClipTask& task, const Error& error) {
  if (error.kind() == ErrorKind::output) look_for_obstacle(task, error.what());
  return task.failed(error);
}

// The video is there under its name: what goes with it.
ClipOutcome ClipWriter::finished(const ClipTask& task, int64_t frames, double decode_seconds) {
  const auto& clip = *task.clip;
  if (!clip.output.empty())
    if (const auto leftovers = note_on_leftovers(clip.output, frames)) reporter_.note(*leftovers);
  if (task.plan->settings.sidecar.value_or(false))
    write_file_atomically(clip.output + ".json", json_text(provenance(task), 2) + "\n");
  remove_checkpoint(options_.checkpoint_path(clip));
  return {task.plan_index, task.clip_index,
          ClipResult{clip.output, clip.seed, frames, task.denoise_seconds, decode_seconds}, std::nullopt};
}

ClipOutcome ClipWriter::write(const ClipTask& task, const at::Tensor& latents) {
  const auto& clip = *task.clip;
  try {
    if (clip.save_latents) save_latents(*clip.save_latents, latents, provenance(task));
    const Stopwatch decoding;
    const auto frames = decode(task, latents);
    return finished(task, frames, decoding.seconds());
  } catch (...) {
    const auto error = as_error(std::current_exception());
    if (is_cancellation(error)) throw;
    if (error.kind() == ErrorKind::out_of_memory) {
      release_free_memory();
      return task.failed({error.kind(), options_.out_of_memory(task).what() + keep_latents(task, latents)});
    }
    if (error.kind() != ErrorKind::output) return task.failed(error);
    look_for_obstacle(task, error.what());
    return task.failed({error.kind(), error.what() + keep_latents(task, latents)});
  }
}

EncoderOptions ClipWriter::encoder_options(const ClipTask& task) const {
  auto options = encoder_options_of(*task.plan, *task.clip);
  options.metadata = container_metadata(provenance(task));
  return options;
}

// Decodes a few frames at a time while the encoder's thread compresses the ones before; once more with the
// smallest chunks, and nothing beside it, when memory does not suffice.
int64_t ClipWriter::decode(const ClipTask& task, const at::Tensor& latents) {
  const auto decode_once = [&] {
    const auto sink = sink_of(task);
    const auto& last = task.plan->windows.back();
    decode_to(*sink, vae_, latents, last.begin + last.kept, reporter_);
    return sink->written();
  };
  try {
    const auto beside = memory_.beside();
    return decode_once();
  } catch (...) {
    if (as_error(std::current_exception()).kind() != ErrorKind::out_of_memory || task.clip->output == "-")
      throw;
  }
  reporter_.note("memory did not suffice to decode " + task.name() +
                 "; decoding goes on one latent frame at a time, while nothing is denoised");
  const auto alone = memory_.alone();
  vae_.set_chunk(1);
  release_free_memory();
  return decode_once();
}

// What took long to make is not thrown away with a file that could not be written. Returns what to add to the
// message.
std::string ClipWriter::keep_latents(const ClipTask& task, const at::Tensor& latents) {
  const auto& clip = *task.clip;
  if (clip.output.empty() || clip.output == "-") return "";
  const auto path = clip.save_latents.value_or(kept_latents_path(clip.output).string());
  try {
    if (!clip.save_latents || !is_there(path, ErrorKind::output))
      save_latents(path, latents, provenance(task));
  } catch (const Error&) {
    return ". Its latents could not be kept either";
  }
  return ". Its latents are kept in " + path + "; t2v decode " + path + " -o FILE makes the video of them";
}

void ClipWriter::look_for_obstacle(const ClipTask& task, const std::string& message) {
  const auto folder = folder_of(*task.clip);
  if (task.clip->output.empty() || task.clip->output == "-" || is_writable(folder)) return;
  const std::lock_guard lock(mutex_);
  obstacles_.emplace(folder, message);
}

}  // namespace t2v
