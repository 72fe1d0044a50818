#include "pipeline/plan/plan_parts.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/prompt.h"
#include "text/words.h"

namespace t2v {

namespace {

void check_text(const std::string& text, const char* flag) {
  if (const auto defect = find_text_defect(text))
    refuse(std::string(flag) + ": " + defect->what + " at byte " + std::to_string(defect->byte_offset) +
           "; prompts are UTF-8 without control characters");
}

// One line that names the words of a text that a model of few words has never seen.
void note_unknown_words(GenerationPlan& plan, const std::string& text,
                        const std::vector<std::string>& known) {
  std::string unknown;
  std::vector<std::string> seen;
  for (const auto& word : words_of(text)) {
    const bool is_new = std::find(known.begin(), known.end(), word) == known.end() &&
                        std::find(seen.begin(), seen.end(), word) == seen.end();
    if (is_new) unknown += (unknown.empty() ? "'" : ", '") + word + "'", seen.push_back(word);
  }
  if (unknown.empty()) return;
  std::string all;
  for (const auto& one : known) all += (all.empty() ? "" : " ") + one;
  plan.notes.push_back("the model has never seen " + unknown +
                       " and will make something else; its words are: " + all);
}

}  // namespace

void plan_text(GenerationPlan& plan, const Model& model, const Tokenizer& tokenizer) {
  const auto& defaults = model.defaults();
  const auto& settings = plan.settings;
  if (!settings.prompt && !settings.storyboard) refuse("a prompt is needed: -p \"what the video shows\"");
  for (const auto& shot : plan.shots) check_text(shot.prompt, "--prompt");
  const auto negative = settings.negative_prompt.value_or("");
  check_text(negative, "--negative-prompt");
  std::vector<std::pair<std::string, std::string>> texts;  // and their names
  for (auto& shot : plan.shots) {
    shot.cleaned_prompt = model.clean(shot.prompt);
    if (!settings.prompt) plan.prompt += (plan.prompt.empty() ? "" : ", then ") + shot.prompt;
    texts.emplace_back(shot.cleaned_prompt, "prompt");
  }
  if (settings.prompt) plan.prompt = *settings.prompt;
  plan.negative_prompt = negative;
  plan.cleaned_negative_prompt = model.clean(plan.negative_prompt);
  plan.max_text_tokens = *defaults.max_text_tokens;
  texts.emplace_back(plan.cleaned_negative_prompt, "negative prompt");
  for (const auto& [text, name] : texts) {
    const auto tokens = tokenizer.encode(text, static_cast<std::size_t>(plan.max_text_tokens));
    if (tokens.tokens_in_prompt > tokens.ids.size())
      plan.notes.push_back("the " + name + " has " + std::to_string(tokens.tokens_in_prompt) +
                           " tokens; the model reads the first " + std::to_string(tokens.ids.size()));
  }
  if (defaults.words.empty()) return;
  for (const auto& shot : plan.shots) note_unknown_words(plan, shot.cleaned_prompt, defaults.words);
}

}  // namespace t2v
