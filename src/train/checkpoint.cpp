#include "train/checkpoint.h"

#include "base/json.h"
#include "t2v/error.h"
#include "weights/safetensors.h"

namespace t2v {

void save_checkpoint(const std::filesystem::path& path, const Optimizer& optimizer,
                     const Checkpoint& checkpoint) {
  const Json state = {{"fingerprint", checkpoint.fingerprint}, {"step", checkpoint.step},
                      {"seconds", checkpoint.seconds},         {"norm_mean", checkpoint.norm_mean},
                      {"skipped", checkpoint.skipped},         {"optimizer_steps", optimizer.steps()}};
  save_safetensors(path, optimizer.state(), {{"t2v_training", state.dump()}});
}

std::optional<Checkpoint> load_checkpoint(const std::filesystem::path& path, Optimizer& optimizer,
                                          const std::string& fingerprint) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto metadata = SafetensorsFile::open(path)->metadata();
  const auto found = metadata.find("t2v_training");
  if (found == metadata.end())
    throw Error(ErrorKind::bad_input,
                path.string() + ": is no checkpoint of t2v train (metadata 't2v_training' is missing)");
  const auto where = path.string() + ", t2v_training";
  const auto state = parse_json(found->second, where);
  Checkpoint checkpoint{json_get<std::string>(state, "fingerprint", where),
                        json_get<int64_t>(state, "step", where), json_get<double>(state, "seconds", where),
                        json_get<double>(state, "norm_mean", where),
                        json_get_or<int64_t>(state, "skipped", 0, where)};
  if (checkpoint.fingerprint != fingerprint)
    throw Error(ErrorKind::usage, path.string() + ": was made with other settings (" +
                                      checkpoint.fingerprint + ", now " + fingerprint +
                                      "). Go on with the old config, or train into another folder.");
  optimizer.restore(Weights::open(path.parent_path(), path.stem().string(), at::kCPU, at::kFloat),
                    json_get<int64_t>(state, "optimizer_steps", where));
  return checkpoint;
}

}  // namespace t2v
