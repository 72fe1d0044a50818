// A model in small files.
#include "train/run/export.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bytes.h"
#include "errors.h"
#include "golden.h"
#include "train/loop/initial_weights.h"
#include "train/run/model_writer.h"
#include "weights/safetensors.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

TEST(ExportModel, WritesTheModelInSmallFiles) {
  const test::TemporaryFolder folder;
  const auto to = folder / "model";
  constexpr int64_t most = 2 << 20;
  for (int time = 0; time < 2; ++time) export_model(test::shipped_model(), to, most);  // over the first one
  EXPECT_EQ(test::bytes_of(to / "t2v.json").empty(), false);
  EXPECT_FALSE(fs::exists(folder / "model.partial"));
  int shards = 0;
  for (const auto& entry : fs::recursive_directory_iterator(to))
    if (entry.path().extension() == ".safetensors") {
      EXPECT_LE(entry.file_size(), static_cast<uintmax_t>(most)) << entry.path();
      shards += entry.path().string().find("-of-") != std::string::npos;
    }
  EXPECT_GT(shards, 1);
  const auto before = open_model(open_model_folder(test::shipped_model())),
             after = open_model(open_model_folder(to));
  for (const auto& [component, shapes] :
       {std::pair<std::string, TensorShapes>{"transformer", denoiser_shapes(*before)},
        {"text_encoder", text_encoder_shapes(*before)},
        {"vae", vae_shapes(*before)}}) {
    const auto expected = load_parameters(*before, component, shapes),
               found = load_parameters(*after, component, shapes);
    for (std::size_t i = 0; i < shapes.size(); ++i)
      EXPECT_TRUE(at::equal(found.list()[i].value, expected.list()[i].value)) << expected.list()[i].name;
  }
}

TEST(ExportModel, KeepsTheNumbersAsTheyAreStored) {
  const test::TemporaryFolder folder;
  const auto from = folder / "from", to = folder / "to";
  export_model(test::shipped_model(), from, 64 << 20);
  const auto model = open_model(open_model_folder(from));
  auto vae = load_parameters(*model, "vae", vae_shapes(*model));
  vae.list()[0].value.detach().fill_(1e6);  // more than half precision holds
  test::expect_error(ErrorKind::non_finite, {"half precision", vae.list()[0].name},
                     [&] { write_component(from, "vae", vae, at::kHalf); });
  write_component(from, "vae", vae, at::kFloat);
  export_model(from, to, 64 << 20);
  for (const std::string component : {"vae", "transformer"}) {
    const auto file = component + "/" + weights_stem(component) + ".safetensors";
    const auto stored = SafetensorsFile::open(from / file), exported = SafetensorsFile::open(to / file);
    for (const auto& [name, entry] : stored->entries()) {
      EXPECT_EQ(exported->tensor(name).scalar_type(), stored->tensor(name).scalar_type()) << name;
      EXPECT_TRUE(at::equal(exported->tensor(name), stored->tensor(name))) << name;
    }
  }
}

}  // namespace
}  // namespace t2v
