#include "pipeline/latents_file.h"

#include <ATen/ATen.h>

#include <map>

#include "base/json_text.h"
#include "pipeline/plan/output_template.h"
#include "pipeline/provenance.h"
#include "t2v/error.h"
#include "weights/safetensors.h"
#include "weights/shape_text.h"

namespace t2v {

namespace {}  // namespace

at::Tensor read_latents(const std::filesystem::path& path, const std::vector<int64_t>& shape) {
  const auto file = SafetensorsFile::open(path);
  const auto latents = file->tensor("latents");
  bool fits = latents.dim() == static_cast<int64_t>(shape.size());
  for (std::size_t i = 0; fits && i < shape.size(); ++i)
    fits = (shape[i] < 0 && latents.size(static_cast<int64_t>(i)) > 0) ||
           latents.size(static_cast<int64_t>(i)) == shape[i];
  if (!fits)
    throw Error(ErrorKind::bad_input,
                path.string() + ": tensor 'latents' should be " + shape_text(shape) +
                    " ([1, channels, frames, height, width] of this model and size), found " +
                    shape_text(latents.sizes().vec()));
  if (!latents.is_floating_point())
    throw Error(ErrorKind::bad_input, path.string() +
                                          ": tensor 'latents' should hold floating-point numbers, found " +
                                          std::string(c10::toString(latents.scalar_type())));
  auto values = latents.to(at::kFloat)[0].clone();
  if (!at::isfinite(values).all().item<bool>())
    throw Error(ErrorKind::bad_input, path.string() + ": tensor 'latents' holds NaN or infinity");
  return values;
}

Json read_provenance(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  const auto found = file->metadata().find("t2v");
  return found == file->metadata().end() ? Json::object() : parse_provenance(found->second);
}

void require_autoencoder(const std::filesystem::path& path, const Json& provenance,
                         const ModelFolder& model) {
  const auto stored = decode_settings(provenance, path.string());
  if (!stored.vae_hash) return;
  const auto hash = component_hash(model, "vae");
  if (*stored.vae_hash == hash) return;
  throw Error(ErrorKind::bad_input,
              path.string() + ": its latents are of the autoencoder " + *stored.vae_hash +
                  (stored.model ? " (model '" + *stored.model + "')" : "") + ", but that of " +
                  (model.root.empty() ? model.given_weights.at("vae") : model.root).string() + " is " + hash +
                  "; pass -m with the model that made them");
}

std::filesystem::path kept_latents_path(const std::string& output) {
  const std::filesystem::path path = output;
  return path.parent_path() / name_that_fits(path.filename().string(), ".latents.safetensors");
}

void check_latents_name(const std::filesystem::path& path, const std::string& flag) {
  if (path.extension() != ".safetensors")
    throw Error(ErrorKind::usage,
                flag + " '" + path.string() +
                    "': latents are a safetensors file; give a name that ends in .safetensors");
}

void save_latents(const std::filesystem::path& path, const at::Tensor& latents, const Json& provenance) {
  std::map<std::string, std::string> metadata;
  if (!provenance.empty()) metadata["t2v"] = json_text(provenance);
  save_safetensors(path, {{"latents", latents.unsqueeze(0)}}, metadata);
}

}  // namespace t2v
