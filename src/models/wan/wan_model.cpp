#include "models/wan/wan_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "models/encoders/clip_vision.h"
#include "models/encoders/t5_encoder.h"
#include "models/wan/skyreels.h"
#include "models/wan/wan_names.h"
#include "models/wan/wan_transformer.h"
#include "models/wan/wan_vae.h"
#include "t2v/error.h"
#include "text/prompt.h"

namespace t2v {

namespace {

// What model_index.json says beside its components.
struct WanVariant {
  std::optional<SkyReelsPipeline> skyreels;
  std::optional<double> boundary_timestep;        // Wan 2.2 A14B: of its two experts
  bool expand_timesteps = false;                  // Wan 2.2 TI2V-5B: a timestep for each token
  std::optional<PictureInputs> pictures;          // image to video
  std::optional<ClipVisionConfig> image_encoder;  // Wan 2.1 image to video
  bool forces_frames() const { return skyreels && skyreels->forces_frames; }
};

// What Wan's own pipelines use. Source: diffusers pipeline_wan.py; the model cards of Wan 2.1 and 2.2.
ModelDefaults wan_defaults(const WanVariant& variant) {
  if (variant.skyreels) return defaults_of(*variant.skyreels);
  ModelDefaults defaults;
  defaults.settings = {{"width", variant.expand_timesteps ? 1280 : 832},
                       {"height", variant.expand_timesteps ? 704 : 480},
                       {"frames", variant.expand_timesteps ? 121 : 81},
                       {"fps", variant.expand_timesteps ? 24 : 16},
                       {"steps", 50},
                       {"guidance_scale", 5.0}};
  defaults.max_text_tokens = 512;
  return defaults;
}

class WanCosts : public DenoiserCosts {
 public:
  WanCosts(const WanTransformerConfig& config, const WanVariant& variant)
      : width_(static_cast<double>(config.width())),
        ffn_(static_cast<double>(config.ffn_dim)),
        layers_(static_cast<double>(config.num_layers)),
        experts_(variant.boundary_timestep ? 2 : 1) {}

  double flops(int64_t tokens) const override {
    return 2 * layers_ * (6 * width_ * width_ + 2 * width_ * ffn_) * static_cast<double>(tokens);
  }
  double attention_flops(int64_t tokens, int64_t text_tokens) const override {
    return 4 * layers_ * width_ * static_cast<double>(tokens) * static_cast<double>(tokens + text_tokens);
  }
  // In floats a token: about twenty rows of the network's width (the sample, its norm, query, key and value
  // before and after their norms, attention, residuals), and the feed-forward's row twice. In a narrower
  // dtype a quarter of the rows stays float32 (norms, modulation, rotary embedding).
  double activation_bytes(int64_t tokens, double element) const override {
    const double floats = 20 * width_, islands = std::max(0.0, sizeof(float) - element) * 5 * width_;
    return ((floats + 2.0 * ffn_) * element + islands) * static_cast<double>(tokens);
  }
  // Each block's keys and values, of every expert.
  double conditioning_bytes(int64_t segments, int64_t text_tokens, double element) const override {
    return 2 * static_cast<double>(segments * text_tokens) * experts_ * layers_ * width_ * element;
  }

 private:
  double width_, ffn_, layers_, experts_;
};

// Channels 3·p·p in `dim` → 3·(k·p)·(k·p), in the order of the autoencoder's folding (colour, column, row):
// each repeated k x k times.
at::Tensor repeat_folded(const at::Tensor& x, int64_t dim, int64_t patch, int64_t k) {
  return x.unflatten(dim, {3, patch, patch})
      .repeat_interleave(k, dim + 1)
      .repeat_interleave(k, dim + 2)
      .flatten(dim, dim + 2);
}

// "blocks.3.attn1.to_q.weight" → {3, "attn1.to_q.weight"}; {-1, name} of what belongs to no block.
std::pair<int64_t, std::string> block_of(const std::string& name) {
  constexpr std::string_view prefix = "blocks.";
  if (!name.starts_with(prefix)) return {-1, name};
  const auto dot = name.find('.', prefix.size());
  return {std::stoll(name.substr(prefix.size(), dot - prefix.size())), name.substr(dot + 1)};
}

// The layers through which a block adds to the tokens.
bool is_block_output(const std::string& name) {
  return name.starts_with("attn1.to_out.") || name.starts_with("attn2.to_out.") ||
         name.starts_with("ffn.net.2.");
}

class WanModel : public Model {
 public:
  WanModel(ModelFolder model, const T5Config& text_encoder, const WanTransformerConfig& transformer,
           const WanVaeConfig& vae, const WanVariant& variant)
      : Model(std::move(model), wan_defaults(variant)),
        text_encoder_(text_encoder),
        transformer_(transformer),
        vae_(vae),
        variant_(variant),
        costs_(transformer, variant) {}

  VaeSpec vae() const override { return vae_.spec(); }
  PatchSize patch_size() const override { return transformer_.patch_size; }
  int64_t longest_axis() const override { return transformer_.rope_max_seq_len; }
  const DenoiserCosts& costs() const override { return costs_; }
  int64_t width() const override { return transformer_.width(); }
  int64_t text_width() const override { return text_encoder_.d_model; }

  std::optional<double> boundary_timestep() const override { return variant_.boundary_timestep; }
  bool levels_per_token() const override { return variant_.expand_timesteps; }
  bool reads_frame_rate() const override { return transformer_.reads_frame_rate; }
  bool hands_on_latents() const override { return variant_.forces_frames(); }
  // Source: pipeline_skyreels_v2_diffusion_forcing.py, __call__: latents[:, :, idx, :, :] = ….step(…)
  bool overwrites_samples() const override { return variant_.forces_frames(); }
  std::optional<PictureInputs> picture_inputs() const override { return variant_.pictures; }
  bool predicts_variance() const override { return transformer_.out_channels > vae_.z_dim; }
  bool reads_control() const override { return !transformer_.vace_layers.empty(); }
  double decoding_bytes(int64_t width, int64_t height, int64_t frames, int64_t chunk) const override;
  std::vector<std::pair<std::string, std::string>> describe() const override;

  std::string original_name(const std::string& component, const std::string& name) const override {
    if (component.starts_with("transformer")) return original_wan_transformer_name(name);
    if (component == "text_encoder") return original_wan_t5_name(name);
    if (component != "vae") return name;
    return vae_.is_residual ? original_wan_residual_vae_name(name, vae_.num_res_blocks)
                            : original_wan_vae_name(name, vae_.num_res_blocks + 1);
  }
  std::string clean(const std::string& prompt) const override { return clean_prompt(prompt); }
  std::unique_ptr<Tokenizer> load_tokenizer() const override {
    return load_tokenizer_of(text_encoder_, folder());
  }

  std::unique_ptr<TextEncoder> make_text_encoder(const WeightScope& weights) const override {
    return std::make_unique<T5Encoder>(text_encoder_, weights);
  }
  std::unique_ptr<Denoiser> make_denoiser(const WeightScope& weights, at::Device device,
                                          bool recompute) const override {
    auto config = transformer_;
    config.recompute = recompute;
    return std::make_unique<WanTransformer>(config, weights, device);
  }
  std::unique_ptr<VideoVae> make_vae(const WeightScope& weights) const override {
    return std::make_unique<WanVae>(vae_, weights);
  }
  std::unique_ptr<ImageEncoder> make_image_encoder(const WeightScope& weights) const override {
    return std::make_unique<ClipVisionEncoder>(variant_.image_encoder.value(), weights);
  }

  // Deeper: the added blocks lie evenly between the old ones, each a copy of the block before it that adds
  // nothing yet (output layers 0), so that the transformer begins as the other one (Chen et al. 2016,
  // Net2Net; Bachlechner et al. 2021, ReZero).
  Tensors adapt_denoiser(const Model& from, const Tensors& weights) const override;
  // Folding a multiple k of the pixels: a model of k times the width and height on the same latents. It
  // begins as the other autoencoder on the means of k x k pixels, and gives back each of its pixels k x k
  // times.
  Tensors adapt_vae(const Model& from, const Tensors& weights) const override;

 private:
  T5Config text_encoder_;
  WanTransformerConfig transformer_;
  WanVaeConfig vae_;
  WanVariant variant_;
  WanCosts costs_;
};

// About 22 tensors as large as the largest level's (a convolution over time puts three frames side by side),
// for the frames of one chunk.
double WanModel::decoding_bytes(int64_t width, int64_t height, int64_t frames, int64_t chunk) const {
  constexpr double mebi = 1024.0 * 1024.0;
  const auto spec = vae_.spec();
  const auto levels = vae_.dim_mult.size();
  double floats = 0;  // a pixel of the finished frame
  double level_frames = 1.0 / static_cast<double>(spec.temporal_ratio);
  double pixels = 1.0 / static_cast<double>(spec.spatial_ratio * spec.spatial_ratio);
  for (std::size_t level = 0; level < levels; ++level) {
    auto channels = vae_.decoder_base_dim * vae_.dim_mult[levels - 1 - level];
    // A residual level's upsampling keeps the channels for the next one, where they are read at twice the
    // size.
    if (vae_.is_residual && level > 0)
      channels = std::max(channels, vae_.decoder_base_dim * vae_.dim_mult[levels - level]);
    floats = std::max(floats, level_frames * pixels * static_cast<double>(channels));
    pixels *= 4;
    if (level + 1 < levels && vae_.temporal_downsample[levels - 2 - level]) level_frames *= 2;
  }
  if (chunk == 0) chunk = quickest_wan_chunk((width / spec.spatial_ratio) * (height / spec.spatial_ratio));
  const auto latent_frames = spec.latent_frames(frames);
  const auto at_once = std::min(chunk, std::max<int64_t>(1, latent_frames - 1));
  const auto pixels_at_once = static_cast<double>(width * height *
                                                  (latent_frames == 1 ? 1 : at_once * spec.temporal_ratio));
  return 22 * floats * sizeof(float) * pixels_at_once + 12 * mebi;
}

std::vector<std::pair<std::string, std::string>> WanModel::describe() const {
  const auto spec = vae_.spec();
  const auto number = [](int64_t value) { return std::to_string(value); };
  std::vector<std::pair<std::string, std::string>> parts = {
      {"transformer", (variant_.boundary_timestep ? std::string("two experts of ") : std::string()) +
                          number(transformer_.num_layers) + " blocks, " + number(transformer_.width()) +
                          " wide, " + number(transformer_.num_attention_heads) + " heads" +
                          (variant_.forces_frames() ? ", a noise level for each latent frame" : "") +
                          (transformer_.reads_frame_rate ? ", told the frame rate" : "")},
      {"text_encoder", number(text_encoder_.num_layers) + " layers, " + number(text_encoder_.d_model) +
                           " wide, vocabulary " + number(text_encoder_.vocab_size)},
      {"vae", number(spec.channels) + " channels, " + number(spec.spatial_ratio) + "x" +
                  number(spec.spatial_ratio) + " pixels, " + number(spec.temporal_ratio) +
                  " frames to a latent"}};
  if (const auto& encoder = variant_.image_encoder)
    parts.emplace_back("image_encoder", number(encoder->num_hidden_layers) + " layers, " +
                                            number(encoder->hidden_size) + " wide, " +
                                            number(encoder->tokens()) + " tokens a picture");
  return parts;
}

Model::Tensors WanModel::adapt_denoiser(const Model& from, const Tensors& weights) const {
  const auto before = dynamic_cast<const WanModel&>(from).transformer_.num_layers;
  if (transformer_.num_layers < before)
    throw Error(ErrorKind::bad_input,
                from.folder().component("transformer").string() + ": its 'num_layers' is " +
                    std::to_string(before) +
                    "; a transformer that goes on from it should have at least as many, found " +
                    std::to_string(transformer_.num_layers));
  const auto source = [&](int64_t block) { return block * before / transformer_.num_layers; };
  Tensors adapted;
  for (const auto& [name, shape] : denoiser_shapes(*this)) {
    const auto [block, part] = block_of(name);
    const auto& value = weights.at(block < 0 ? name : "blocks." + std::to_string(source(block)) + "." + part);
    const bool added = block > 0 && source(block) == source(block - 1);
    adapted[name] = added && is_block_output(part) ? at::zeros_like(value) : value.clone();
  }
  return adapted;
}

Model::Tensors WanModel::adapt_vae(const Model& from, const Tensors& weights) const {
  const auto before = dynamic_cast<const WanModel&>(from).vae_.patch_size;
  const int64_t k = vae_.patch_size / before;
  if (k * before != vae_.patch_size)
    throw Error(ErrorKind::bad_input,
                from.folder().component("vae").string() + ": its 'patch_size' is " + std::to_string(before) +
                    "; an autoencoder that goes on from it should have a multiple of that, found " +
                    std::to_string(vae_.patch_size));
  auto adapted = weights;
  auto& first = adapted.at("encoder.conv_in.weight");
  first = repeat_folded(first, 1, before, k) / (k * k);
  for (const char* name : {"decoder.conv_out.weight", "decoder.conv_out.bias"})
    adapted.at(name) = repeat_folded(adapted.at(name), 0, before, k);
  return adapted;
}

WanVariant read_variant(const ModelFolder& folder) {
  const auto where = (folder.root / "model_index.json").string();
  WanVariant variant;
  variant.skyreels = skyreels_pipeline(folder.pipeline_class);
  variant.expand_timesteps = json_get_or<bool>(folder.index, "expand_timesteps", false, where);
  if (!folder.index.contains("boundary_ratio") || folder.index.at("boundary_ratio").is_null()) return variant;
  const auto ratio = json_get<double>(folder.index, "boundary_ratio", where);
  if (!(ratio >= 0 && ratio <= 1))
    throw Error(ErrorKind::bad_input, where + ": 'boundary_ratio' should be between 0 and 1, found " +
                                          folder.index.at("boundary_ratio").dump());
  if (!folder.has("transformer_2"))
    throw Error(ErrorKind::bad_input, where +
                                          ": 'boundary_ratio' is set, and with it the model has two "
                                          "experts, but no component 'transformer_2' is named");
  const auto steps = json_get_or<int64_t>(folder.config("scheduler"), "num_train_timesteps", 1000,
                                          folder.config_name("scheduler"));
  variant.boundary_timestep = ratio * static_cast<double>(steps);
  return variant;
}

// How the model takes pictures, as its configs say.
void read_picture_inputs(const ModelFolder& folder, const WanTransformerConfig& transformer,
                         const WanVaeConfig& vae, WanVariant& variant) {
  const auto where = folder.config_name("transformer");
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::bad_input, where + ": " + what);
  };
  // Beside the sample: a mask for each frame of a latent, and the pictures' latents.
  const auto with_pictures = 2 * vae.z_dim + vae.spec().temporal_ratio;
  const bool has_image_class = folder.pipeline_class == "WanImageToVideoPipeline" ||
                               folder.pipeline_class == "SkyReelsV2ImageToVideoPipeline";
  const bool reads_pictures = has_image_class && !variant.expand_timesteps;
  const auto channels = reads_pictures ? with_pictures : vae.z_dim;
  const bool is_vace = folder.pipeline_class == "WanVACEPipeline";
  const auto ratio = vae.spec().spatial_ratio;
  if (is_vace != !transformer.vace_layers.empty())
    refuse("vace_layers belong to WanVACEPipeline, found " + folder.pipeline_class);
  // What is kept, what is made anew, and the mask of a latent's pixels.
  if (is_vace && transformer.vace_in_channels != 2 * vae.z_dim + ratio * ratio)
    refuse("vace_in_channels " + std::to_string(transformer.vace_in_channels) + " should be " +
           std::to_string(2 * vae.z_dim + ratio * ratio) + " with the autoencoder's z_dim " +
           std::to_string(vae.z_dim) + " and " + std::to_string(ratio) + " pixels to a latent");
  if (transformer.in_channels != channels)
    refuse("in_channels " + std::to_string(transformer.in_channels) + " should be " +
           std::to_string(channels) + " in a " + folder.pipeline_class + " with the autoencoder's z_dim " +
           std::to_string(vae.z_dim));
  if (!reads_pictures && transformer.image_dim > 0)
    refuse(
        "image_dim is set: this transformer reads pictures, and belongs to WanImageToVideoPipeline, found " +
        folder.pipeline_class);
  if (transformer.reads_frame_rate && !variant.forces_frames())
    refuse(
        "inject_sample_info is set: this transformer is told the frame rate, and belongs to "
        "SkyReelsV2DiffusionForcingPipeline, found " +
        folder.pipeline_class);
  if (!reads_pictures) return;
  const bool has_places = transformer.pos_embed_seq_len > 0;  // of a first and a last picture
  const bool is_encoded = transformer.image_dim > 0;
  variant.pictures = PictureInputs{
      .takes_last = has_places || !is_encoded, .needs_last = has_places, .are_encoded = is_encoded};
  if (!is_encoded) return;
  const auto encoder = parse_clip_vision_config(
      folder.config("image_encoder"), folder.config_name("image_encoder"), folder.config("image_processor"),
      folder.config_name("image_processor"));
  if (encoder.hidden_size != transformer.image_dim)
    refuse("image_dim " + std::to_string(transformer.image_dim) +
           " contradicts the image encoder's hidden_size " + std::to_string(encoder.hidden_size));
  if (has_places && transformer.pos_embed_seq_len != 2 * encoder.tokens())
    refuse("pos_embed_seq_len " + std::to_string(transformer.pos_embed_seq_len) +
           " should be that of two pictures of the image encoder, " + std::to_string(2 * encoder.tokens()));
  variant.image_encoder = encoder;
}

// The experts are two networks of one architecture.
void require_alike(const ModelFolder& folder) {
  const auto first = folder.config("transformer"), second = folder.config("transformer_2");
  parse_wan_transformer_config(second, folder.config_name("transformer_2"));
  for (const auto& [key, value] : first.items())
    if (!key.starts_with("_") && second.value(key, Json()) != value)
      throw Error(ErrorKind::bad_input, folder.config_name("transformer_2") + ": '" + key + "' is " +
                                            second.value(key, Json()).dump() +
                                            ", but that of the first expert, " +
                                            folder.config_name("transformer") + ", is " + value.dump());
}

}  // namespace

std::unique_ptr<Model> open_wan(ModelFolder folder) {
  auto variant = read_variant(folder);
  const auto where = [&](const char* component) { return folder.config_name(component); };
  const auto text_encoder = parse_umt5_config(folder.config("text_encoder"), where("text_encoder"));
  const auto transformer = parse_wan_transformer_config(folder.config("transformer"), where("transformer"));
  const auto vae = parse_wan_vae_config(folder.config("vae"), where("vae"));
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::bad_input, where("transformer") + ": " + what);
  };
  if (transformer.text_dim != text_encoder.d_model)
    refuse("text_dim " + std::to_string(transformer.text_dim) + " contradicts the text encoder's d_model " +
           std::to_string(text_encoder.d_model));
  read_picture_inputs(folder, transformer, vae, variant);
  if (transformer.out_channels != vae.z_dim && transformer.out_channels != 2 * vae.z_dim)
    refuse("out_channels " + std::to_string(transformer.out_channels) +
           " contradicts the autoencoder's z_dim " + std::to_string(vae.z_dim) +
           " (or twice that, with a variance)");
  if (transformer.patch_size.t != 1)
    refuse("a patch of " + std::to_string(transformer.patch_size.t) +
           " latent frames is not supported; Wan has 1");
  if (transformer.patch_size.h != transformer.patch_size.w)
    refuse("patch_size should be as high as it is wide");
  if (variant.boundary_timestep) require_alike(folder);
  return std::make_unique<WanModel>(std::move(folder), text_encoder, transformer, vae, variant);
}

}  // namespace t2v
