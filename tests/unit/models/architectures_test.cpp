#include "models/architectures.h"

#include <gtest/gtest.h>

#include "errors.h"
#include "models/model.h"

namespace t2v {
namespace {

double billions(const TensorShapes& shapes) {
  double sum = 0;
  for (const auto& [name, shape] : shapes) {
    double numbers = 1;
    for (const auto side : shape) numbers *= static_cast<double>(side);
    sum += numbers;
  }
  return sum / 1e9;
}

// The sizes that their authors publish.
TEST(Architectures, HaveThePublishedSizes) {
  const std::map<std::string, double> transformers = {{"wan2.1-t2v-1.3b", 1.42},
                                                      {"wan2.1-t2v-14b", 14.29},
                                                      {"wan2.2-t2v-a14b", 14.29},
                                                      {"wan2.2-ti2v-5b", 5.0}};
  ASSERT_EQ(architecture_names().size(), transformers.size());
  for (const auto& name : architecture_names()) {
    const auto model = open_model(architecture_folder(name));
    EXPECT_NEAR(billions(denoiser_shapes(*model)), transformers.at(name), 0.01) << name;
    EXPECT_NEAR(billions(text_encoder_shapes(*model)), 5.68, 0.01) << name;
    EXPECT_NEAR(billions(vae_shapes(*model)), name == "wan2.2-ti2v-5b" ? 0.70 : 0.127, 0.01) << name;
  }
  EXPECT_TRUE(open_model(architecture_folder("wan2.2-t2v-a14b"))->boundary_timestep());
  test::expect_error(ErrorKind::usage, {"did you mean 'wan2.1-t2v-14b'"},
                     [] { architecture_folder("wan2.1-t2v-14"); });
}

}  // namespace
}  // namespace t2v
