// GGUF files through the binary: the same clip as from the numbers that their blocks stand for, in the memory
// that they take, and what is refused.
#include <cmath>
#include <random>

#include "base/json.h"
#include "expect.h"
#include "gguf.h"
#include "model_copy.h"
#include "sanitizer.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;
using Renaming = std::vector<std::pair<std::string, std::string>>;

struct Sizes {
  int64_t head_dim = 32, heads = 2, ffn = 128, layers = 2, text = 64;
};

struct Stored {
  uint32_t type = 0;
  std::string bytes;
  std::vector<float> numbers;
};

std::string renamed(std::string name, const Renaming& renaming) {
  for (const auto& [here, there] : renaming)
    if (const auto at = name.find(here); at != std::string::npos) name.replace(at, here.size(), there);
  return name;
}

// A random model of wan-tiny's kind whose rows are whole blocks: transformer.gguf and text_encoder.gguf, and
// a folder with the numbers that they stand for, whose configs they fit.
class RandomModel {
 public:
  RandomModel(const fs::path& root, const Sizes& sizes) : root_(root), sizes_(sizes) {
    fs::copy(golden("wan-tiny"), root / "model", fs::copy_options::recursive);
    change_config("transformer", {{"attention_head_dim", sizes.head_dim},
                                  {"num_attention_heads", sizes.heads},
                                  {"num_layers", sizes.layers},
                                  {"ffn_dim", sizes.ffn},
                                  {"text_dim", sizes.text}});
    change_config("text_encoder", {{"d_model", sizes.text}});
    const int64_t width = sizes.head_dim * sizes.heads;
    write("transformer", transformer_file, "wan",
          {{60, width}, {360, 6 * width}, {112, sizes.ffn}, {56, sizes.text}},
          {{"attn1.to_out.0.", "self_attn.o."},
           {"attn2.to_out.0.", "cross_attn.o."},
           {"attn1.to_", "self_attn."},
           {"attn2.to_", "cross_attn."},
           {"attn1.", "self_attn."},
           {"attn2.", "cross_attn."},
           {"ffn.net.0.proj", "ffn.0"},
           {"ffn.net.2", "ffn.2"},
           {".norm2.", ".norm3."},
           {".scale_shift_table", ".modulation"},
           {"condition_embedder.time_embedder.linear_1", "time_embedding.0"},
           {"condition_embedder.time_embedder.linear_2", "time_embedding.2"},
           {"condition_embedder.text_embedder.linear_1", "text_embedding.0"},
           {"condition_embedder.text_embedder.linear_2", "text_embedding.2"},
           {"condition_embedder.time_proj", "time_projection.1"},
           {"proj_out", "head.head"}});
    write("text_encoder", "text_encoder/model.safetensors", "t5encoder", {{56, sizes.text}},
          {{"shared.", "token_embd."},
           {"encoder.final_layer_norm.", "enc.output_norm."},
           {"encoder.block.", "enc.blk."},
           {"layer.0.layer_norm", "attn_norm"},
           {"layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"},
           {"layer.0.SelfAttention.", "attn_"},
           {"layer.1.layer_norm", "ffn_norm"},
           {"layer.1.DenseReluDense.wi_0", "ffn_gate"},
           {"layer.1.DenseReluDense.wi_1", "ffn_up"},
           {"layer.1.DenseReluDense.wo", "ffn_down"}});
  }

  std::string folder() const { return (root_ / "model").string(); }
  fs::path file(const std::string& component) const { return root_ / (component + ".gguf"); }
  Arguments files() const {
    return {"--transformer", file("transformer").string(), "--text-encoder", file("text_encoder").string()};
  }
  void remove_weights_of_folder() const {
    fs::remove(root_ / "model" / transformer_file);
    fs::remove(root_ / "model" / "text_encoder" / "model.safetensors");
  }

 private:
  void change_config(const std::string& component, const std::map<std::string, int64_t>& values) const {
    const auto path = root_ / "model" / component / "config.json";
    auto config = Json::parse(bytes_of(path));
    for (const auto& [key, value] : values) config[key] = value;
    write_bytes(path, config.dump());
  }

  // Whole numbers times a power of 2: exact in every format. Which one, goes round.
  Stored random_tensor(const std::vector<int64_t>& shape) {
    int64_t count = 1;
    for (const auto side : shape) count *= side;
    Stored stored;
    const bool is_matrix = shape.size() == 2 && shape[1] % 32 == 0;
    const int kind = is_matrix ? turn_++ % 3 : shape.size() == 5 ? 2 : 3;
    const auto next = [&] { return static_cast<int>(random_() >> 24); };  // 0 to 255
    const auto add_float = [&](float value) {
      const auto bits = little_endian_bytes(value);
      stored.bytes += kind == 2 ? bits.substr(2) : bits;
      stored.numbers.push_back(value);
    };
    if (kind == 0) {
      stored.type = 8;  // Q8_0
      for (int64_t i = 0; i < count / 32; ++i) {
        stored.bytes += little_endian_bytes(uint16_t{5 << 10});  // 2^-10
        for (int j = 0; j < 32; ++j) {
          const int value = next() - 128;
          stored.bytes += static_cast<char>(value);
          stored.numbers.push_back(std::ldexp(static_cast<float>(value), -10));
        }
      }
    } else if (kind == 1) {
      stored.type = 2;  // Q4_0
      for (int64_t i = 0; i < count / 32; ++i) {
        stored.bytes += little_endian_bytes(uint16_t{9 << 10});  // 2^-6
        int values[32];
        for (auto& value : values) value = next() >> 4;
        for (int j = 0; j < 16; ++j) stored.bytes += static_cast<char>(values[j] | values[16 + j] << 4);
        for (const auto value : values)
          stored.numbers.push_back(std::ldexp(static_cast<float>(value - 8), -6));
      }
    } else {
      stored.type = kind == 2 ? 30 : 0;  // BF16, F32
      for (int64_t i = 0; i < count; ++i) add_float(std::ldexp(static_cast<float>(next() - 128), -8));
    }
    return stored;
  }

  void write(const std::string& component, const std::string& safetensors, const std::string& architecture,
             const std::map<int64_t, int64_t>& sides, const Renaming& original) {
    const auto tiny = read_raw_tensors(golden("wan-tiny") / safetensors);
    GgufBytes file{.keys = {gguf_text_key("general.architecture", architecture)}, .tensors = {}};
    RawTensors numbers;
    const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
      for (auto& side : shape)
        if (const auto found = sides.find(side); found != sides.end()) side = found->second;
      auto stored = random_tensor(shape);
      const auto begin = numbers.data.size();
      numbers.data.append(reinterpret_cast<const char*>(stored.numbers.data()),
                          stored.numbers.size() * sizeof(float));
      numbers.header[name] = {
          {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, numbers.data.size()}}};
      auto other = name == "scale_shift_table" ? "head.modulation" : renamed(name, original);
      std::vector<uint64_t> dims(shape.rbegin(), shape.rend());
      if (dims.size() > 4) {
        file.keys.push_back(gguf_list_key<int64_t>("comfy.gguf.orig_shape." + other, 11, shape));
        dims = {stored.numbers.size()};
      }
      file.tensors.push_back({std::move(other), dims, stored.type, std::move(stored.bytes)});
    };
    for (const auto& [name, entry] : tiny.header.items()) {
      if (name == "__metadata__" || name.starts_with("blocks.1.") || name.starts_with("blocks.2.")) continue;
      const auto shape = entry.at("shape").get<std::vector<int64_t>>();
      if (!name.starts_with("blocks.0."))
        add(name, shape);
      else
        for (int64_t layer = 0; layer < sizes_.layers; ++layer)
          add("blocks." + std::to_string(layer) + name.substr(8), shape);
    }
    write_raw_tensors(root_ / "model" / safetensors, numbers);
    write_bytes(this->file(component), file.bytes());
  }

  fs::path root_;
  Sizes sizes_;
  std::mt19937 random_{7};
  int turn_ = 0;
};

Arguments clip(const RandomModel& model, const fs::path& out, const Arguments& more) {
  Arguments arguments = {"generate", "a cat",     "-m", model.folder(), "--size", "64x64",      "--frames",
                         "5",        "--steps",   "2",  "--seed",       "4",      "--progress", "none",
                         "-o",       out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST(CliGguf, AClipHasTheBytesOfOneFromTheExpandedNumbers) {
  const TemporaryFolder folder;
  const RandomModel model(folder.path(), {});
  for (const std::string dtype : {"float32", "bfloat16"})
    expect_done(run_program(clip(model, folder / (dtype + "-numbers.y4m"), {"--dtype", dtype})));
  model.remove_weights_of_folder();
  for (const std::string dtype : {"float32", "bfloat16"}) {
    auto more = model.files();
    more.insert(more.end(), {"--dtype", dtype});
    expect_done(run_program(clip(model, folder / (dtype + "-blocks.y4m"), more)));
    EXPECT_TRUE(bytes_of(folder / (dtype + "-numbers.y4m")) == bytes_of(folder / (dtype + "-blocks.y4m")))
        << dtype;
  }
  EXPECT_FALSE(bytes_of(folder / "float32-blocks.y4m") == bytes_of(folder / "bfloat16-blocks.y4m"));
}

struct Taken {
  long peak = 0, file = 0, planned = 0;  // MB
};

// docs/weights.md has the figures of a larger model.
TEST(CliGguf, TakesTheMemoryOfTheFileAndOneExpandedLayer) {
  if (has_sanitizer) GTEST_SKIP() << "a sanitizer's own memory counts as well";
  const TemporaryFolder folder;
  const auto taken_by = [&](const Sizes& sizes) {
    const auto root = folder / std::to_string(sizes.layers);
    fs::create_directory(root);
    const RandomModel model(root, sizes);
    model.remove_weights_of_folder();
    auto arguments = clip(model, root / "clip.y4m", model.files());
    arguments.insert(arguments.end(), {"--guidance-scale", "1"});
    auto dry = arguments;
    dry.push_back("--dry-run");
    const auto plan = Json::parse(run_program(dry).out);
    const auto result = run_program(arguments);
    expect_done(result);
    return Taken{result.peak_megabytes, static_cast<long>(fs::file_size(model.file("transformer")) >> 20),
                 static_cast<long>(plan.at("weight_bytes").get<int64_t>() >> 20)};
  };
  const auto few = taken_by({.head_dim = 64, .heads = 12, .ffn = 3072, .layers = 1});
  const auto many = taken_by({.head_dim = 64, .heads = 12, .ffn = 3072, .layers = 5});
  // Four layers more: what their blocks take in the file, where their numbers would be 151 MB.
  EXPECT_GT(many.file - few.file, 30);
  constexpr long keys_and_values = 4 * 2 * 512 * 768 * 4 >> 20;  // of the text
  EXPECT_LT(many.peak - few.peak, many.file - few.file + keys_and_values + 25);
  EXPECT_NEAR(static_cast<double>(many.planned - few.planned), static_cast<double>(many.file - few.file), 2);
}

TEST(CliWeightsDtype, KeepsWeightsInAnotherFormat) {
  const TemporaryFolder folder;
  const RandomModel model(folder.path(), {.ffn = 512, .layers = 4});
  const auto made = [&](const std::string& name, Arguments more) {
    const auto out = folder / (name + ".y4m");
    expect_done(run_program(clip(model, out, more)));
    more.push_back("--dry-run");
    const auto plan = Json::parse(run_program(clip(model, out, more)).out);
    return std::pair(bytes_of(out), plan.at("weight_bytes").get<double>());
  };
  const auto [as_stored, bytes] = made("stored", {});
  // Its numbers are bfloat16's without rounding.
  const auto [in_bfloat16, bytes_in_bfloat16] = made("bfloat16", {"--weights-dtype", "bfloat16"});
  EXPECT_TRUE(in_bfloat16 == as_stored);
  EXPECT_LT(bytes_in_bfloat16, 0.75 * bytes);
  const auto [in_float8, bytes_in_float8] = made("float8", {"--weights-dtype", "float8"});
  EXPECT_FALSE(in_float8 == as_stored);
  EXPECT_LT(bytes_in_float8, bytes_in_bfloat16);
  const auto [in_q8, bytes_in_q8] = made("q8_0", {"--weights-dtype", "q8_0"});
  EXPECT_FALSE(in_q8 == as_stored);
  EXPECT_LT(bytes_in_q8, bytes_in_bfloat16);
  const auto [in_q4, bytes_in_q4] = made("q4_0", {"--weights-dtype", "q4_0"});
  EXPECT_FALSE(in_q4 == in_q8);
  EXPECT_LT(bytes_in_q4, bytes_in_q8);
  expect_refused(run_program(clip(model, folder / "a.y4m", {"--weights-dtype", "q3_k"})), 2,
                 {"--weights-dtype", "q8_0", "'q3_k'"});
}

TEST(CliGguf, BadFilesAreRefusedWithWhatWasExpectedAndFound) {
  const TemporaryFolder folder;
  const RandomModel model(folder.path(), {});
  const auto transformer = bytes_of(model.file("transformer"));
  const auto refused = [&](const std::string& flag, const std::string& bytes,
                           const std::vector<std::string>& parts) {
    write_bytes(folder / "bad.gguf", bytes);
    const auto result = run_program(clip(model, folder / "a.y4m", {flag, (folder / "bad.gguf").string()}));
    expect_refused(result, 3, parts);
    EXPECT_FALSE(fs::exists(folder / "a.y4m"));
  };
  refused("--transformer", transformer.substr(0, transformer.size() / 2), {"bad.gguf", "truncated"});
  refused("--transformer", transformer.substr(0, 100), {"bad.gguf", "truncated"});
  refused("--transformer", "no weights", {"bad.gguf", "should begin with 'GGUF'"});
  refused("--transformer", bytes_of(model.file("text_encoder")),
          {"bad.gguf", "is a text encoder (UMT5", "--transformer takes a transformer"});
  refused("--text-encoder", transformer, {"bad.gguf", "is a transformer", "takes a text encoder"});
  refused("--vae", transformer, {"bad.gguf", "is a transformer", "takes an autoencoder"});
  auto hostile = transformer;
  hostile.replace(8, 8, std::string(8, '\xff'));
  refused("--transformer", hostile, {"bad.gguf", "18446744073709551615 tensors"});
}

}  // namespace t2v::test
