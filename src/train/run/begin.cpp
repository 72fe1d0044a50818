#include "train/run/begin.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "t2v/error.h"
#include "text/prompt.h"
#include "train/loop/initial_weights.h"
#include "train/run/model_writer.h"
#include "train/run/tokenizer_trainer.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_words = 1000;  // where a list still says something

void use_tokenizer(const fs::path& folder, const TrainedTokenizer& trained,
                   const std::vector<std::string>& captions, Observer& observer) {
  write_tokenizer(folder / "tokenizer", trained);
  write_vocab_size(folder, trained.vocab_size);
  write_words(folder, words_of_captions(captions, most_words));
  const auto configs = read_model_configs(open_model_folder(folder));
  const auto tokenizer = configs.model->load_tokenizer();
  const auto most = static_cast<std::size_t>(*configs.model->defaults().max_text_tokens);
  std::size_t longest = 0, cut = 0;
  for (const auto& caption : captions) {
    const auto count = tokenizer->encode(caption, most).tokens_in_prompt;
    longest = std::max(longest, count);
    cut += count > most;
  }
  observer.note(
      "tokenizer: " + std::to_string(trained.pieces) + " pieces from " + std::to_string(captions.size()) +
      " captions, the longest of which has " + std::to_string(longest) + " tokens" +
      (cut == 0 ? "" : "; " + std::to_string(cut) + " are cut to max_text_tokens, " + std::to_string(most)));
}

void check_begun_with(const RunSetup& setup, const fs::path& run, const std::string& component,
                      const Json& changes, const Json& begun) {
  for (const auto& [key, value] : changes.items())
    if (begun.at(key) != value)
      throw Error(ErrorKind::usage, setup.path + ": '" + key + "' of the " + component + " is " +
                                        value.dump() + ", the run in " + run.string() + " began with " +
                                        begun.at(key).dump() + "; train into another folder");
}

}  // namespace

void begin_model(const RunSetup& setup, const ClipSource& source, const fs::path& run, Observer& observer) {
  std::vector<std::string> captions;
  if (setup.config.tokenizer || setup.config.data)
    for (const auto& caption : source.training_captions(setup.config.seed))
      captions.push_back(clean_prompt(caption));
  std::optional<TrainedTokenizer> tokenizer;
  if (setup.config.tokenizer)
    tokenizer = train_tokenizer(captions, setup.config.tokenizer->vocab_size, setup.path + ", tokenizer");
  const auto partial = run / "model.partial";  // renamed when it is complete
  std::error_code failed;
  fs::remove_all(partial, failed);
  copy_architecture(setup.model().folder().root, partial);
  write_config(partial, "transformer", setup.transformer);
  write_config(partial, "text_encoder", setup.text_encoder);
  write_config(partial, "vae", setup.vae);
  write_defaults(partial, setup.defaults_json);
  // Of a mean all models have it; a network that begins from nothing has it from its own training.
  write_per_frame_timesteps(
      partial,
      !setup.config.weights.empty() &&
          std::all_of(setup.config.weights.begin(), setup.config.weights.end(), [](const std::string& model) {
            return open_model_folder(find_model(model)).defaults.per_frame_timesteps;
          }));
  if (tokenizer) {
    use_tokenizer(partial, *tokenizer, captions, observer);
  } else if (setup.config.data && !setup.defaults.words.empty()) {
    auto texts = setup.defaults.words;
    texts.insert(texts.end(), captions.begin(), captions.end());
    write_words(partial, words_of_captions(texts, most_words));
  }
  const auto configs = read_model_configs(open_model_folder(partial));  // a tokenizer has changed them
  const auto& made = *configs.model;
  const auto write = [&](const std::string& name, const TensorShapes& wanted, uint64_t stream,
                         const auto& going_on) {
    std::vector<ParameterSet> sets;
    auto models = setup.config.weights;
    if (const auto named = setup.config.component_weights.find(name);
        named != setup.config.component_weights.end())
      models = {named->second};
    for (const auto& model : models)
      sets.push_back(going_on(*read_model_configs(open_model_folder(find_model(model))).model));
    write_component(partial, name,
                    sets.empty() ? ParameterSet::initialise(wanted, setup.config.seed + stream)
                                 : ParameterSet::mean(sets),
                    setup.config.weights_dtype);
  };
  write("vae", vae_shapes(made), 1, [&](const Model& from) { return vae_from(made, from); });
  write("transformer", denoiser_shapes(made), 2,
        [&](const Model& from) { return denoiser_from(made, from); });
  const auto wanted = text_encoder_shapes(made);
  write("text_encoder", wanted, 3, [&](const Model& from) {
    return tokenizer ? text_encoder_for(*tokenizer, from) : load_parameters(from, "text_encoder", wanted);
  });
  const auto model = run / "model";
  fs::rename(partial, model, failed);
  if (failed) throw Error(ErrorKind::output, model.string() + ": cannot be made (" + failed.message() + ")");
}

void check_begun(const RunSetup& setup, const fs::path& run) {
  const auto begun = open_model_folder(run / "model");
  check_begun_with(setup, run, "transformer", setup.config.transformer, begun.config("transformer"));
  check_begun_with(setup, run, "text_encoder", setup.config.text_encoder, begun.config("text_encoder"));
  check_begun_with(setup, run, "vae", setup.config.vae, begun.config("vae"));
  if (setup.config.tokenizer && setup.config.tokenizer->vocab_size)
    check_begun_with(setup, run, "tokenizer", {{"vocab_size", *setup.config.tokenizer->vocab_size}},
                     begun.config("text_encoder"));
}

}  // namespace t2v
