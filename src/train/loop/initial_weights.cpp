#include "train/loop/initial_weights.h"

#include <ATen/ATen.h>

#include "t2v/error.h"

namespace t2v {

namespace {

Model::Tensors by_name(const ParameterSet& parameters) {
  Model::Tensors tensors;
  for (const auto& [name, value] : parameters.list()) tensors[name] = value.detach();
  return tensors;
}

ParameterSet as_parameters(const Model::Tensors& tensors, const TensorShapes& wanted,
                           const std::filesystem::path& from) {
  ParameterSet set;
  for (const auto& [name, shape] : wanted) {
    const auto found = tensors.find(name);
    if (found == tensors.end() || found->second.sizes() != at::IntArrayRef(shape))
      throw Error(ErrorKind::bad_input,
                  from.string() + ": its '" + name + "' is " +
                      (found == tensors.end() ? "missing" : "misshaped") +
                      " for a model that goes on from it; only what the family can enlarge may differ");
    set.add({name, found->second.clone().requires_grad_(true)});
  }
  return set;
}

}  // namespace

ParameterSet load_parameters(const Model& model, const std::string& component, const TensorShapes& wanted) {
  return ParameterSet::load(wanted, model.folder().component(component), weights_stem(component));
}

ParameterSet vae_from(const Model& model, const Model& begin_from) {
  const auto loaded = load_parameters(begin_from, "vae", vae_shapes(begin_from));
  return as_parameters(model.adapt_vae(begin_from, by_name(loaded)), vae_shapes(model),
                       begin_from.folder().component("vae"));
}

ParameterSet denoiser_from(const Model& model, const Model& begin_from) {
  const auto loaded = load_parameters(begin_from, "transformer", denoiser_shapes(begin_from));
  return as_parameters(model.adapt_denoiser(begin_from, by_name(loaded)), denoiser_shapes(model),
                       begin_from.folder().component("transformer"));
}

ParameterSet text_encoder_for(const TrainedTokenizer& tokenizer, const Model& begin_from) {
  const auto before = begin_from.load_tokenizer();
  const auto loaded = load_parameters(begin_from, "text_encoder", text_encoder_shapes(begin_from));
  ParameterSet set;
  for (auto parameter : loaded.list()) {
    if (parameter.name == "shared.weight")
      parameter.value = embedding_for(tokenizer, *before, parameter.value.detach());
    set.add(std::move(parameter));
  }
  return set;
}

}  // namespace t2v
