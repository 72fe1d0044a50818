// What the networks of a model ask for, and what they begin from when a model goes on in another form.
#pragma once

#include "pipeline/components.h"
#include "train/parameters.h"
#include "train/tokenizer_trainer.h"
#include "weights/model_folder.h"

namespace t2v {

// What a network asks for.
ParameterShapes vae_parameters(const WanVaeConfig& config);
ParameterShapes transformer_parameters(const WanTransformerConfig& config);
ParameterShapes text_parameters(const Umt5Config& config);

// The weights of a model's autoencoder for one that folds `config.patch_size` pixels, a multiple k of its
// own, and is the same otherwise: a model of k times the width and height on the same latents. It begins as
// the model's autoencoder on the means of k x k pixels, and gives back each of its pixels k x k times. Throws
// Error{bad_input} when it is no multiple, or for what is missing or misshaped.
ParameterSet vae_for(const WanVaeConfig& config, const ModelFolder& begin_from);

// The weights of a model's transformer for one of as many blocks or more, which is the same otherwise. The
// added blocks lie evenly between the old ones: each a copy of the block before it that adds nothing yet
// (output layers 0), so that the transformer begins as the model's (Chen et al. 2016, Net2Net; Bachlechner et
// al. 2021, ReZero). Throws Error{bad_input} when it has fewer, or for what is missing or misshaped.
ParameterSet transformer_for(const WanTransformerConfig& config, const ModelFolder& begin_from);

// The weights of a model's text encoder, going on with a tokenizer that was trained anew (embedding_for).
ParameterSet text_encoder_for(const TrainedTokenizer& tokenizer, const ModelFolder& begin_from);

}  // namespace t2v
