// What the networks of a model begin from when it goes on from another one.
#pragma once

#include "pipeline/components.h"
#include "train/loop/parameters.h"
#include "train/run/tokenizer_trainer.h"
#include "weights/model_folder.h"

namespace t2v {

// The weights of another model's component for this model's, as the family goes on from it (Model::adapt_…).
// Throws Error{bad_input} where it cannot, or for what is missing or misshaped.
ParameterSet vae_from(const Model& model, const Model& begin_from);
ParameterSet denoiser_from(const Model& model, const Model& begin_from);

// The weights of a model's text encoder, going on with a tokenizer that was trained anew (embedding_for).
ParameterSet text_encoder_for(const TrainedTokenizer& tokenizer, const Model& begin_from);

// The weights of a model's component as they are.
ParameterSet load_parameters(const Model& model, const std::string& component, const TensorShapes& wanted);

}  // namespace t2v
