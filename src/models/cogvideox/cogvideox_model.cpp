#include "models/cogvideox/cogvideox_model.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/cogvideox/cogvideox_transformer.h"
#include "models/cogvideox/cogvideox_vae.h"
#include "models/encoders/t5_encoder.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// What CogVideoX's own pipeline uses. Source: diffusers pipeline_cogvideox.py; model cards of CogVideoX-2b,
// CogVideoX-5b and CogVideoX1.5-5B.
ModelDefaults cogvideox_defaults(bool is_1_5) {
  ModelDefaults defaults;
  defaults.settings = {{"width", is_1_5 ? 1360 : 720},
                       {"height", is_1_5 ? 768 : 480},
                       {"frames", is_1_5 ? 81 : 49},
                       {"fps", is_1_5 ? 16 : 8},
                       {"steps", 50},
                       {"guidance_scale", 6.0}};
  defaults.max_text_tokens = 226;
  return defaults;
}

class CogVideoXCosts : public DenoiserCosts {
 public:
  explicit CogVideoXCosts(const CogVideoXTransformerConfig& config)
      : width_(static_cast<double>(config.width())), layers_(static_cast<double>(config.num_layers)) {}

  // Query, key, value and output are 4 squares of the width, the feed-forward 8.
  double flops(int64_t tokens) const override {
    return 2 * layers_ * 12 * width_ * width_ * static_cast<double>(tokens);
  }
  double attention_flops(int64_t tokens, int64_t text_tokens) const override {
    const auto all = static_cast<double>(tokens + text_tokens);
    return 4 * layers_ * width_ * all * all;
  }
  // As for Wan, counted and not measured: twenty rows of the width, and the feed-forward's row of four widths
  // twice. In a narrower dtype a quarter of the rows stays float32.
  double activation_bytes(int64_t tokens, double element) const override {
    const double islands = std::max(0.0, sizeof(float) - element) * 5 * width_;
    return (28 * width_ * element + islands) * static_cast<double>(tokens);
  }
  // The texts go through every block beside the video, each segment its own.
  double conditioning_bytes(int64_t segments, int64_t text_tokens, double element) const override {
    return static_cast<double>(segments * text_tokens) * width_ * element +
           activation_bytes(segments * text_tokens, element);
  }

 private:
  double width_, layers_;
};

// The reference gives the encoder a text's padding to read, without a mask, and the denoiser all of it.
// Source: CogVideoXPipeline._get_t5_prompt_embeds.
class PaddedEncoder : public TextEncoder {
 public:
  PaddedEncoder(const T5Config& config, const WeightScope& weights, int64_t length)
      : encoder_(config, weights), length_(length) {}

  at::Tensor forward(const at::Tensor& ids) const override {
    constexpr int64_t pad = 0;  // of every T5 tokenizer
    return encoder_.forward(at::constant_pad_nd(ids, {0, std::max<int64_t>(0, length_ - ids.size(-1))}, pad));
  }

 private:
  T5Encoder encoder_;
  int64_t length_;
};

[[noreturn]] void refuse_training(const Model& from) {
  throw Error(ErrorKind::bad_input, from.folder().root.string() +
                                        ": a CogVideoX model cannot be trained; begin with one of another "
                                        "family");
}

class CogVideoXModel : public Model {
 public:
  CogVideoXModel(ModelFolder model, const T5Config& text_encoder,
                 const CogVideoXTransformerConfig& transformer, const CogVideoXVaeConfig& vae)
      : Model(std::move(model), cogvideox_defaults(transformer.patches_of_time)),
        text_encoder_(text_encoder),
        transformer_(transformer),
        vae_(vae),
        costs_(transformer) {}

  VaeSpec vae() const override { return vae_.spec(); }
  PatchSize patch_size() const override { return transformer_.patch_size; }
  int64_t longest_axis() const override { return transformer_.longest_axis(); }
  const DenoiserCosts& costs() const override { return costs_; }
  int64_t width() const override { return transformer_.width(); }
  int64_t text_width() const override { return text_encoder_.d_model; }

  double decoding_bytes(int64_t width, int64_t height, int64_t frames, int64_t chunk) const override;
  std::vector<std::pair<std::string, std::string>> describe() const override;

  bool draws_frames_first() const override { return true; }
  std::string clean(const std::string& prompt) const override { return prompt; }
  std::unique_ptr<Tokenizer> load_tokenizer() const override {
    return load_tokenizer_of(text_encoder_, folder());
  }

  std::unique_ptr<TextEncoder> make_text_encoder(const WeightScope& weights) const override {
    return std::make_unique<PaddedEncoder>(text_encoder_, weights, *defaults().max_text_tokens);
  }
  std::unique_ptr<Denoiser> make_denoiser(const WeightScope& weights, at::Device, bool) const override {
    return std::make_unique<CogVideoXTransformer>(transformer_, weights);
  }
  std::unique_ptr<VideoVae> make_vae(const WeightScope& weights) const override {
    return std::make_unique<CogVideoXVae>(vae_, weights);
  }

  Tensors adapt_denoiser(const Model& from, const Tensors&) const override { refuse_training(from); }
  Tensors adapt_vae(const Model& from, const Tensors&) const override { refuse_training(from); }

 private:
  T5Config text_encoder_;
  CogVideoXTransformerConfig transformer_;
  CogVideoXVaeConfig vae_;
  CogVideoXCosts costs_;
};

// The first residual block at full size: its input, what the norm makes of it, that with the past, three taps
// of it, and the output. Counted and not measured. A chunk is what the family says.
double CogVideoXModel::decoding_bytes(int64_t width, int64_t height, int64_t frames, int64_t) const {
  constexpr double mebi = 1024.0 * 1024.0;
  const auto at_once = static_cast<double>(std::min<int64_t>(frames, 9));
  const auto channels = static_cast<double>(std::max(vae_.block_out_channels[0], vae_.block_out_channels[1]));
  return 7 * channels * at_once * static_cast<double>(width * height) * sizeof(float) + 12 * mebi;
}

std::vector<std::pair<std::string, std::string>> CogVideoXModel::describe() const {
  const auto spec = vae_.spec();
  const auto number = [](int64_t value) { return std::to_string(value); };
  return {{"transformer", number(transformer_.num_layers) + " blocks, " + number(transformer_.width()) +
                              " wide, " + number(transformer_.num_attention_heads) + " heads, " +
                              (transformer_.rotary ? "rotary" : "sincos") + " positions"},
          {"text_encoder", number(text_encoder_.num_layers) + " layers, " + number(text_encoder_.d_model) +
                               " wide, vocabulary " + number(text_encoder_.vocab_size)},
          {"vae", number(spec.channels) + " channels, " + number(spec.spatial_ratio) + "x" +
                      number(spec.spatial_ratio) + " pixels, " + number(spec.temporal_ratio) +
                      " frames to a latent"}};
}

}  // namespace

std::unique_ptr<Model> open_cogvideox(ModelFolder folder) {
  const auto where = [&](const char* component) { return folder.config_name(component); };
  const auto text_encoder = parse_t5_config(folder.config("text_encoder"), where("text_encoder"));
  const auto transformer = parse_cogvideox_transformer_config(folder.config("transformer"),
                                                              where("transformer"));
  auto vae = parse_cogvideox_vae_config(folder.config("vae"), where("vae"));
  // The reference pads an odd number of latent frames at the front to a multiple of the patch.
  vae.leading = transformer.patch_size.t - 1;
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::bad_input, where("transformer") + ": " + what);
  };
  if (transformer.text_embed_dim != text_encoder.d_model)
    refuse("text_embed_dim " + std::to_string(transformer.text_embed_dim) +
           " contradicts the text encoder's d_model " + std::to_string(text_encoder.d_model));
  if (transformer.in_channels != vae.latent_channels)
    refuse("in_channels " + std::to_string(transformer.in_channels) +
           " contradicts the autoencoder's latent_channels " + std::to_string(vae.latent_channels));
  return std::make_unique<CogVideoXModel>(std::move(folder), text_encoder, transformer, vae);
}

}  // namespace t2v
