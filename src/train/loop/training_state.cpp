#include "train/loop/training_state.h"

#include "base/json.h"
#include "t2v/error.h"
#include "train/run/files.h"
#include "weights/safetensors.h"

namespace t2v {

void save_training_state(const std::filesystem::path& path, const Optimizer& optimizer,
                         const TrainingState& state) {
  const Json json = {{"fingerprint", state.fingerprint}, {"step", state.step},
                     {"seconds", state.seconds},         {"norm_mean", state.norm_mean},
                     {"skipped", state.skipped},         {"optimizer_steps", optimizer.steps()}};
  save_safetensors(path, optimizer.state(), {{"t2v_training", json.dump()}});
}

std::optional<TrainingState> load_training_state(const std::filesystem::path& path, Optimizer& optimizer,
                                                 const std::string& fingerprint) {
  if (is_absent(path)) return std::nullopt;
  const auto metadata = SafetensorsFile::open(path)->metadata();
  const auto found = metadata.find("t2v_training");
  if (found == metadata.end())
    throw Error(ErrorKind::bad_input,
                path.string() + ": is no checkpoint of t2v train (metadata 't2v_training' is missing)");
  const auto where = path.string() + ", t2v_training";
  const auto json = parse_json(found->second, where);
  TrainingState state{json_get<std::string>(json, "fingerprint", where),
                      json_get<int64_t>(json, "step", where), json_get<double>(json, "seconds", where),
                      json_get<double>(json, "norm_mean", where),
                      json_get_or<int64_t>(json, "skipped", 0, where)};
  if (state.fingerprint != fingerprint)
    throw Error(ErrorKind::usage, path.string() +
                                      ": was made with other settings or by another version of t2v (" +
                                      state.fingerprint + ", now " + fingerprint +
                                      "). Go on with the old config, or train into another folder.");
  optimizer.restore(Weights::open(path.parent_path(), path.stem().string(), at::kCPU, at::kFloat),
                    json_get<int64_t>(json, "optimizer_steps", where));
  return state;
}

}  // namespace t2v
