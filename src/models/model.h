// A model of any family: configs that were read and found to agree, and the networks that they describe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/denoiser.h"
#include "models/image_encoder.h"
#include "models/text_encoder.h"
#include "models/video_vae.h"
#include "text/tokenizer.h"
#include "weights/model_folder.h"
#include "weights/weights.h"

namespace t2v {

// Where a component is, and what it computes in. by_block: its blocks are read each time their turn comes.
struct Placement {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
  bool by_block = false;
};

// Of a component's weights, those that stay packed: numbers, what they take, and the numbers of the largest
// matrix that is expanded at once.
struct PackedSize {
  int64_t numbers = 0, bytes = 0, largest = 0;
};

// Numbers that are not packed, and bytes of those that are.
struct WeightShare {
  int64_t numbers = 0, packed_bytes = 0;
};

// Of a component whose blocks are read in turn: what is outside of them, and the largest block.
struct BlockShares {
  WeightShare outside, largest;
};

// Numbers in the weights of each component; the transformer's are those of all experts.
struct ComponentSizes {
  int64_t text_encoder = 0, transformer = 0, vae = 0, image_encoder = 0;
  PackedSize packed_text_encoder = {}, packed_transformer = {};
  BlockShares text_encoder_blocks = {}, transformer_blocks = {};
  int64_t total() const { return text_encoder + transformer + vae + image_encoder; }
};

// The pictures that a denoiser reads.
struct PictureInputs {
  bool takes_last = false, needs_last = false;  // one that the clip ends with; it always begins with one
  bool are_encoded = false;                     // by the component image_encoder, beside the autoencoder
};

// What a step of the denoiser costs; from the configs alone.
class DenoiserCosts {
 public:
  virtual ~DenoiserCosts() = default;
  // Of the products of all blocks, of one forward pass over so many tokens.
  virtual double flops(int64_t tokens) const = 0;
  // Of attention, of a segment that reads a text of so many tokens.
  virtual double attention_flops(int64_t tokens, int64_t text_tokens) const = 0;
  // At the peak of a forward pass, in a dtype of so many bytes; conditioning_bytes: of what prepare() keeps
  // for segments that read texts of so many tokens.
  virtual double activation_bytes(int64_t tokens, double element) const = 0;
  virtual double conditioning_bytes(int64_t segments, int64_t text_tokens, double element) const = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  const ModelFolder& folder() const { return folder_; }
  // t2v.json's, and the family's where it says nothing.
  const ModelDefaults& defaults() const { return defaults_; }

  virtual VaeSpec vae() const = 0;
  virtual PatchSize patch_size() const = 0;
  virtual int64_t longest_axis() const = 0;  // patches that the denoiser's positions reach on each axis
  virtual const DenoiserCosts& costs() const = 0;
  // Where the model has two experts: the component transformer_2 makes the steps whose timestep is below it.
  virtual std::optional<double> boundary_timestep() const { return std::nullopt; }
  // Where the denoiser reads pictures itself; otherwise clips are held to them.
  virtual std::optional<PictureInputs> picture_inputs() const { return std::nullopt; }
  // Whether the denoiser reads a whole clip and a mask of what of it is made anew (VACE); all tasks are told
  // so.
  virtual bool reads_control() const { return false; }
  // Whether the denoiser gives a variance beside its prediction, in as many channels again.
  virtual bool predicts_variance() const { return false; }
  // Whether the denoiser is told that known content has timestep 0; t2v.json may say it of other models.
  virtual bool levels_per_token() const { return false; }
  // Whether the denoiser is told the clip's frame rate.
  virtual bool reads_frame_rate() const { return false; }
  // Whether the family's pipeline makes a long clip of windows that hand on their last latents, all decoded
  // as one clip; otherwise windows hand on frames, which are encoded again.
  virtual bool hands_on_latents() const { return false; }
  // As SchedulerConfig::overwrites_samples.
  virtual bool overwrites_samples() const { return false; }
  // At the peak of decoding in chunks of so many latent frames (0: as many as the family likes best), in
  // float32.
  virtual double decoding_bytes(int64_t width, int64_t height, int64_t frames, int64_t chunk) const = 0;
  // {component, what it is}, for people.
  virtual std::vector<std::pair<std::string, std::string>> describe() const = 0;

  // The widths of a token's hidden state and of a text token's.
  virtual int64_t width() const = 0;
  virtual int64_t text_width() const = 0;

  // What the family's original checkpoints, which single files follow, call a tensor of a component: of this
  // name here. The same where they have no other name.
  virtual std::string original_name(const std::string& component, const std::string& name) const;
  // Whether the reference's pipeline draws noise as [1, T, C, H, W]; otherwise as [1, C, T, H, W].
  virtual bool draws_frames_first() const { return false; }

  // A prompt as the family's pipeline cleans it.
  virtual std::string clean(const std::string& prompt) const = 0;
  // Throws Error{bad_input}, also for a tokenizer with more tokens than the text encoder knows.
  virtual std::unique_ptr<Tokenizer> load_tokenizer() const = 0;

  // The networks over whatever tensors: files, a trainer's parameters, or none (Weights::meta), which tells
  // what they ask for.
  virtual std::unique_ptr<TextEncoder> make_text_encoder(const WeightScope& weights) const = 0;
  // recompute: gradients keep a block's inputs alone and run it again (gradient checkpointing).
  virtual std::unique_ptr<Denoiser> make_denoiser(const WeightScope& weights, at::Device device,
                                                  bool recompute = false) const = 0;
  virtual std::unique_ptr<VideoVae> make_vae(const WeightScope& weights) const = 0;
  // Of families that have models with picture_inputs()->are_encoded.
  virtual std::unique_ptr<ImageEncoder> make_image_encoder(const WeightScope& weights) const;

  // The weights of another model's component for this model's, which differs in a way that training can go on
  // from (a deeper transformer, an autoencoder that folds more pixels). Throws Error{bad_input} where the
  // family knows no such way.
  using Tensors = std::map<std::string, at::Tensor>;
  virtual Tensors adapt_denoiser(const Model& from, const Tensors& weights) const = 0;
  virtual Tensors adapt_vae(const Model& from, const Tensors& weights) const = 0;

 protected:
  Model(ModelFolder folder, const ModelDefaults& family);

 private:
  ModelFolder folder_;
  ModelDefaults defaults_;
};

// One line for each pipeline class.
struct Family {
  const char* pipeline_class;  // "_class_name" in model_index.json
  const char* what;            // that this version runs, for messages
  // Reads the configs and checks that they agree. Throws Error{bad_input} when a config is bad, contradicts
  // another one, or asks for what t2v does not have.
  std::unique_ptr<Model> (*open)(ModelFolder folder);
};
const std::vector<Family>& families();

// The model of a folder, by its pipeline class. Throws Error{bad_input}.
std::unique_ptr<Model> open_model(ModelFolder folder);

// The tensors of a component by the names that its network asks for: of the folder or of the file in its
// place, with their scales and the LoRAs. Throws Error{bad_input}.
std::shared_ptr<const TensorSource> weights_of(const Model& model, const std::string& component);
// Of the transformer's layers.
LayerNames lora_names(const Model& model);

// Each throws Error{bad_input} with everything that is wrong with the component's weights. The autoencoder
// computes in float32 unless placed otherwise.
std::unique_ptr<TextConditioner> load_text(const Model& model, std::shared_ptr<const Tokenizer> tokenizer,
                                           Placement placement);
std::unique_ptr<Denoiser> load_denoiser(const Model& model, Placement placement);  // with all experts
std::unique_ptr<ImageEncoder> load_image_encoder(const Model& model, Placement placement);
std::unique_ptr<VideoVae> load_vae(const Model& model, Placement placement);
ComponentSizes component_sizes(const Model& model);
// What weights take where each number that is not packed has so many bytes.
int64_t weight_bytes(int64_t numbers, const PackedSize& packed, int64_t element);

// What a component's network asks for.
TensorShapes text_encoder_shapes(const Model& model);
TensorShapes denoiser_shapes(const Model& model);
TensorShapes vae_shapes(const Model& model);
TensorShapes image_encoder_shapes(const Model& model);

}  // namespace t2v
