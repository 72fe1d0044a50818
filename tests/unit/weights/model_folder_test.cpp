#include "weights/model_folder.h"

#include <gtest/gtest.h>

#include "errors.h"
#include "paths.h"
#include "support.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

class ModelFolderTest : public testing::Test {
 protected:
  ModelFolderTest() { fs::copy(test::golden("wan-tiny"), root(), fs::copy_options::recursive); }
  fs::path root() const { return folder / "model"; }
  void set_defaults(const std::string& json) const { test::write_bytes(root() / "t2v.json", json); }

  test::TemporaryFolder folder;
};

TEST_F(ModelFolderTest, OpensWithoutDefaults) {
  const auto model = open_model_folder(root());
  EXPECT_EQ(model.pipeline_class, "WanPipeline");
  EXPECT_TRUE(model.defaults.settings.empty());
  EXPECT_EQ(json_get<int64_t>(model.config("vae"), "z_dim", "vae"), 16);
  EXPECT_EQ(json_get<std::string>(model.config("scheduler"), "_class_name", "scheduler"),
            "UniPCMultistepScheduler");
}

TEST_F(ModelFolderTest, ReadsTheInfinityOfPythonsConfigsAsNull) {
  const auto config = root() / "scheduler" / "scheduler_config.json";
  test::write_bytes(config, R"({"a": -Infinity, "b": [Infinity, 1], "-Infinity": "\\\"Infinity"})");
  const auto model = open_model_folder(root());
  EXPECT_EQ(model.config("scheduler"),
            Json({{"a", nullptr}, {"b", {nullptr, 1}}, {"-Infinity", "\\\"Infinity"}}));
  test::write_bytes(config, "{\"a\": -Infinity,\n\"b\": ]}");
  test::expect_error(ErrorKind::bad_input, {"scheduler_config.json", "line 2, column 6"},
                     [&] { model.config("scheduler"); });
}

TEST_F(ModelFolderTest, ReadsEveryDefault) {
  set_defaults(
      R"({"width": 832, "height": 480, "frames": 81, "fps": 16.5, "steps": 30, "guidance_scale": 5, "guidance_rescale": 0.5, "max_text_tokens": 512, "scheduler": "unipc",
                   "negative_prompt": "", "licence": "Apache-2.0", "card": "a card", "per_frame_timesteps": true, "sizes": [[832, 480], [480, 832]]})");
  const auto d = open_model_folder(root()).defaults;
  EXPECT_EQ(d.settings, Json::parse(R"({"width": 832, "height": 480, "frames": 81, "fps": 16.5, "steps": 30,
      "guidance_scale": 5, "guidance_rescale": 0.5, "scheduler": "unipc", "negative_prompt": ""})"));
  EXPECT_EQ(d.max_text_tokens, 512);
  EXPECT_EQ(d.licence, "Apache-2.0");
  EXPECT_EQ(d.card, "a card");
  EXPECT_TRUE(d.per_frame_timesteps);
  ASSERT_EQ(d.sizes.size(), 2U);
  EXPECT_EQ(d.sizes[1][1], 832);
}

TEST_F(ModelFolderTest, RefusesBadDefaultsNamingTheKey) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {R"({"max_text_tokens": 0})", {"'max_text_tokens'", "positive"}},
      {R"({"max_text_tokens": 2.5})", {"'max_text_tokens'", "an integer"}},
      {R"({"card": 3})", {"'card'"}},
      {R"({"sizes": [[64, -64]]})", {"'sizes'", "positive"}},
      {R"({"sizes": [[64]]})", {"'sizes'"}},
      {R"([])", {"JSON object"}},
      {R"({"steps": 1, "steps": 2})", {"'steps'", "twice"}},
  };
  for (const auto& [json, parts] : cases) {
    SCOPED_TRACE(json);
    set_defaults(json);
    auto named = parts;
    named.push_back((root() / "t2v.json").string());
    test::expect_error(ErrorKind::bad_input, named, [&] { open_model_folder(root()); });
  }
}

TEST_F(ModelFolderTest, RefusesAFolderThatIsNoModel) {
  test::expect_error(ErrorKind::bad_input, {(folder / "absent").string(), "no such model folder"},
                     [&] { open_model_folder(folder / "absent"); });
  test::expect_error(ErrorKind::bad_input, {folder.path().string(), "model_index.json"},
                     [&] { open_model_folder(folder.path()); });
  test::write_bytes(root() / "model_index.json", "{}");
  test::expect_error(ErrorKind::bad_input, {(root() / "model_index.json").string(), "'_class_name'"},
                     [&] { open_model_folder(root()); });
}

TEST_F(ModelFolderTest, HashIsOfTheContentsNotOfThePlace) {
  const auto hash = model_hash(open_model_folder(root()));
  EXPECT_EQ(hash.size(), 32U);
  EXPECT_EQ(hash.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(hash, model_hash(open_model_folder(root())));
  EXPECT_EQ(hash, model_hash(open_model_folder(test::golden("wan-tiny"))));
  test::write_bytes(root() / "README.md", "notes");
  EXPECT_EQ(hash, model_hash(open_model_folder(root())));
}

TEST_F(ModelFolderTest, HashChangesWithOneByteOrOneName) {
  const auto hash = model_hash(open_model_folder(root()));
  const auto weights = root() / "vae" / "diffusion_pytorch_model.safetensors";
  const auto before = test::bytes_of(weights);
  auto bytes = before;
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  test::write_bytes(weights, bytes);
  EXPECT_NE(hash, model_hash(open_model_folder(root())));
  test::write_bytes(weights, before);
  EXPECT_EQ(hash, model_hash(open_model_folder(root())));
  set_defaults("{}");
  EXPECT_NE(hash, model_hash(open_model_folder(root())));
  fs::remove(root() / "t2v.json");
  EXPECT_EQ(hash, model_hash(open_model_folder(root())));
  const auto tokenizer = root() / "tokenizer";
  fs::rename(tokenizer / "spiece.model", tokenizer / "tokenizer.json");
  EXPECT_NE(hash, model_hash(open_model_folder(root())));
}

TEST_F(ModelFolderTest, HashLooksAtNothingThatTheModelDoesNotUse) {
  const auto hash = model_hash(open_model_folder(root()));
  fs::create_directory_symlink(root(), root() / "loop");
  fs::create_symlink("itself.json", root() / "itself.json");
  fs::create_symlink("nowhere", root() / "vae" / "dangling.safetensors");
  fs::create_directories(root() / ".git" / "objects");
  test::write_bytes(root() / ".git" / "config.json", "{}");
  test::write_bytes(root() / "transformer" / "other.safetensors", "no weights");
  EXPECT_EQ(hash, model_hash(open_model_folder(root())));
}

TEST_F(ModelFolderTest, HashOfAComponentIsOfItsConfigAndWeightsAlone) {
  const auto model = open_model_folder(root());
  const auto vae = component_hash(model, "vae"), transformer = component_hash(model, "transformer");
  EXPECT_NE(vae, transformer);
  const auto config = root() / "vae" / "config.json";
  test::write_bytes(config, test::bytes_of(config) + " ");
  EXPECT_NE(vae, component_hash(model, "vae"));
  EXPECT_EQ(transformer, component_hash(model, "transformer"));
}

TEST_F(ModelFolderTest, HashNamesWhatCannotBeRead) {
  const auto model = open_model_folder(root());
  for (const std::string file : {"tokenizer/tokenizer_config.json", "transformer/config.json",
                                 "vae/diffusion_pytorch_model.safetensors"}) {
    const auto path = root() / file;
    fs::rename(path, folder / "kept");
    fs::create_symlink(path.filename(), path);
    test::expect_error(ErrorKind::bad_input, {path.string(), "symbolic links"}, [&] { model_hash(model); });
    fs::remove(path);
    fs::create_directory(path);
    test::expect_error(ErrorKind::bad_input, {path.string()}, [&] { model_hash(model); });
    fs::remove(path);
    fs::rename(folder / "kept", path);
  }
}

TEST_F(ModelFolderTest, HashOfLargeWeightsIsOfHeadersSizesAndTheBeginningOfEachTensor) {
  // 80 MiB of zeros that take no room on disk.
  constexpr std::size_t tensor = std::size_t{40} << 20;
  const auto weights = root() / "vae" / "diffusion_pytorch_model.safetensors";
  const auto header = [&](const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[41943040],"data_offsets":[0,41943040]},")" + second +
           R"(":{"dtype":"U8","shape":[41943040],"data_offsets":[41943040,83886080]}})";
  };
  const auto hash_with = [&](const std::string& second, std::optional<std::size_t> changed) {
    test::write_bytes(weights, test::safetensors_bytes(header(second), ""));
    const auto begin = fs::file_size(weights);
    fs::resize_file(weights, begin + 2 * tensor);
    if (changed) {
      std::fstream file(weights, std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(static_cast<std::streamoff>(begin + *changed));
      file << 'x';
    }
    return model_hash(open_model_folder(root()));
  };
  const auto hash = hash_with("b", std::nullopt);
  EXPECT_EQ(hash, hash_with("b", std::nullopt));
  EXPECT_NE(hash, hash_with("c", std::nullopt));
  EXPECT_NE(hash, hash_with("b", 0));
  EXPECT_NE(hash, hash_with("b", tensor));
  EXPECT_NE(hash, hash_with("b", tensor + 65535));
  EXPECT_EQ(hash, hash_with("b", tensor + 65536));
}

TEST_F(ModelFolderTest, HashCanBeStoppedBeforeEachFile) {
  const auto model = open_model_folder(root());
  int files = 0;
  model_hash(model, [&] { ++files; });
  EXPECT_GE(files, 9);
  for (int stop = 1; stop <= files; ++stop) {
    int calls = 0;
    test::expect_error(ErrorKind::interrupted, {"stopped"}, [&] {
      model_hash(model, [&] {
        if (++calls == stop) throw Error(ErrorKind::interrupted, "stopped");
      });
    });
    EXPECT_EQ(calls, stop);
  }
}

}  // namespace
}  // namespace t2v
