// Finds single files in a tree of models.
#include <algorithm>
#include <filesystem>

#include "base/file_status.h"
#include "models/encoders/t5_encoder.h"
#include "models/single_files.h"
#include "pipeline/plan/plan_files.h"
#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> folders_of(const std::string& component) {
  if (component == "vae") return {"vae"};
  if (component == "text_encoder" || component == "tokenizer") return {"text_encoders", "clip"};
  if (component == "image_encoder") return {"clip_vision"};
  if (component == "lora") return {"loras"};
  return {"diffusion_models", "unet"};
}

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

[[noreturn]] void refuse_tree(const fs::path& tree, const std::string& what) {
  throw Error(ErrorKind::bad_input, tree.string() + ": " + what);
}

// Files of weights below the folders of a component, by name.
std::vector<fs::path> files_of(const fs::path& tree, const std::string& component) {
  std::vector<fs::path> files;
  for (const auto& folder : folders_of(component)) {
    std::error_code failed;
    const auto options = fs::directory_options::skip_permission_denied |
                         fs::directory_options::follow_directory_symlink;
    fs::recursive_directory_iterator entry(tree / folder, options, failed), end;
    for (; !failed && entry != end; entry.increment(failed)) {
      if (entry.depth() >= 4) entry.disable_recursion_pending();
      const auto extension = entry->path().extension();
      std::error_code unknown;
      if ((extension == ".safetensors" || extension == ".gguf") && entry->is_regular_file(unknown))
        files.push_back(entry->path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// As given where that is a file, else the file of this name in the tree.
std::string find_named(const fs::path& tree, const std::string& component, const std::string& name) {
  if (is_there(name)) return name;
  for (const auto& folder : folders_of(component))
    if (is_there(tree / folder / name)) return (tree / folder / name).string();
  for (const auto& file : files_of(tree, component))
    if (file.filename() == name) return file.string();
  refuse_tree(tree, "no file '" + name + "' is here or in " + list_of(folders_of(component)));
}

struct Candidate {
  fs::path file;
  FileKind kind;
};

// Files that cannot be read, or are something else, are of no interest here.
std::vector<Candidate> candidates_of(const fs::path& tree, const std::string& component, bool two_experts) {
  std::vector<Candidate> candidates;
  const auto wanted = component == "transformer_2" ? "transformer" : component;
  for (const auto& file : files_of(tree, component)) {
    try {
      auto kind = kind_of_file(open_weight_file(file), file.filename().string(), two_experts);
      if (kind.component == wanted && kind.config) candidates.push_back({file, std::move(kind)});
    } catch (const Error&) {
    }
  }
  return candidates;
}

std::vector<std::string> names_of(const std::vector<Candidate>& candidates) {
  std::vector<std::string> names;
  for (const auto& candidate : candidates) names.push_back(candidate.file.filename().string());
  return names;
}

// A transformer that nobody named: the only one, or the only pair of experts.
fs::path only_transformer(const fs::path& tree) {
  const auto all = candidates_of(tree, "transformer", false);
  if (all.empty())
    refuse_tree(tree, "no transformer that t2v knows is in " + list_of(folders_of("transformer")));
  std::vector<const Candidate*> first;
  for (const auto& candidate : all)
    if (candidate.kind.expert != "low") first.push_back(&candidate);
  if (first.size() == 1 && (all.size() == 1 || (all.size() == 2 && first.front()->kind.expert == "high")))
    return first.front()->file;
  refuse_tree(tree, "has " + std::to_string(all.size()) +
                        " transformers; --transformer NAME says which: " + list_of(names_of(all)));
}

bool has_tokenizer(const fs::path& file) {
  try {
    return load_tokenizer_in(file) != nullptr;
  } catch (const Error&) {
    return false;
  }
}

// The one that fits, and the first by name where several do.
fs::path one_that_fits(const fs::path& tree, const FileKind::Needed& needed, const Candidate& transformer,
                       bool with_tokenizer, std::vector<std::string>& notes) {
  std::vector<Candidate> fitting;
  const bool is_expert = needed.component == "transformer_2";
  for (auto& candidate : candidates_of(tree, needed.component, is_expert)) {
    if (misfit(transformer.kind, candidate.kind)) continue;
    if (is_expert && (candidate.kind.expert != "low" || candidate.file == transformer.file)) continue;
    if (with_tokenizer && !has_tokenizer(candidate.file)) continue;
    fitting.push_back(std::move(candidate));
  }
  const auto flag = flag_of_component(needed.component);
  if (fitting.empty())
    refuse_tree(tree, transformer.file.filename().string() + " is " + transformer.kind.what + "; " +
                          needed.what + (with_tokenizer ? ", with its tokenizer in it," : "") +
                          " is not in " + list_of(folders_of(needed.component)) + ". " + flag +
                          " FILE names it" + (with_tokenizer ? ", --tokenizer FILE its spiece.model" : ""));
  if (is_expert && fitting.size() > 1)
    refuse_tree(tree,
                "has several low-noise experts; " + flag + " NAME says which: " + list_of(names_of(fitting)));
  if (fitting.size() > 1)
    notes.push_back(flag + " " + fitting.front().file.string() +
                    ", the first of those that fit: " + list_of(names_of(fitting)));
  return fitting.front().file;
}

}  // namespace

bool is_model_tree(const fs::path& folder) {
  if (is_there(folder / "model_index.json")) return false;
  return is_folder(folder / "diffusion_models") || is_folder(folder / "unet");
}

ComponentFiles find_in_tree(const fs::path& tree, ComponentFiles given, std::vector<std::string>& notes) {
  for (auto& [component, file] : given) file = find_named(tree, component, file);
  if (!given.contains("transformer")) given["transformer"] = only_transformer(tree).string();
  const bool two = given.contains("transformer_2");
  const Candidate transformer{given.at("transformer"),
                              kind_of_given("transformer", given.at("transformer"), two)};
  if (!transformer.kind.config) return given;  // assemble_model says why
  for (const auto& needed : transformer.kind.beside) {
    if (given.contains(needed.component)) continue;
    const bool with_tokenizer = needed.component == "text_encoder" && !given.contains("tokenizer");
    given[needed.component] = one_that_fits(tree, needed, transformer, with_tokenizer, notes).string();
  }
  return given;
}

std::string find_lora_in_tree(const fs::path& tree, const std::string& lora) {
  const auto parsed = parse_lora(lora);
  const auto name = parsed.file.string();
  return find_named(tree, "lora", name) + lora.substr(name.size());
}

}  // namespace t2v
