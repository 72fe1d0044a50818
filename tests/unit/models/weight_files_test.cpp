// Models from the files that people have: one file a component, under other names, with scales, with LoRAs.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "errors.h"
#include "golden.h"
#include "models.h"
#include "weights/safetensors.h"

namespace t2v {
namespace {

using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

Tensors tensors_of(const TensorSource& source) {
  Tensors tensors;
  for (const auto& name : source.names()) tensors.emplace_back(name, source.read(name).clone());
  return tensors;
}

class WeightFilesTest : public testing::Test {
 protected:
  // The tiny model with a file in place of one component's, which holds its tensors under changed names.
  template <class Change>
  std::unique_ptr<Model> with_file(const std::string& component, const Change& change) {
    const auto folder = open_model_folder(test::golden("wan-tiny"));
    auto tensors = tensors_of(*weights_of(*tiny, component));
    change(tensors);
    save_safetensors(place / (component + ".safetensors"), tensors);
    auto other = folder;
    other.given_weights[component] = place / (component + ".safetensors");
    return open_model(other);
  }

  void expect_same(const Model& found, const std::string& component) {
    const auto expected = weights_of(*tiny, component), source = weights_of(found, component);
    EXPECT_EQ(source->names(), expected->names());
    for (const auto& name : expected->names())
      EXPECT_TRUE(at::equal(source->read(name), expected->read(name))) << name;
  }

  // A LoRA file, and the transformer's weights with it.
  std::shared_ptr<const TensorSource> with_lora(const Tensors& lora, double scale) {
    save_safetensors(place / "lora.safetensors", lora);
    auto folder = open_model_folder(test::golden("wan-tiny"));
    folder.loras["transformer"] = {{place / "lora.safetensors", scale}};
    changed = open_model(folder);
    return weights_of(*changed, "transformer");
  }

  const std::string layer = "blocks.0.attn1.to_q";
  test::TemporaryFolder place;
  std::shared_ptr<const Model> tiny = test::tiny_model();
  std::unique_ptr<Model> changed;
};

// Names as models.md and diffusers' conversion have them, each written out here by hand.
TEST_F(WeightFilesTest, OriginalNamesAreKnown) {
  const std::vector<std::array<std::string, 3>> names = {
      {"transformer", "blocks.1.attn1.to_q.weight", "blocks.1.self_attn.q.weight"},
      {"transformer", "blocks.1.attn1.to_out.0.bias", "blocks.1.self_attn.o.bias"},
      {"transformer", "blocks.1.attn1.norm_k.weight", "blocks.1.self_attn.norm_k.weight"},
      {"transformer", "blocks.1.attn2.to_v.weight", "blocks.1.cross_attn.v.weight"},
      {"transformer", "blocks.1.ffn.net.0.proj.weight", "blocks.1.ffn.0.weight"},
      {"transformer", "blocks.1.ffn.net.2.bias", "blocks.1.ffn.2.bias"},
      {"transformer", "blocks.1.norm2.weight", "blocks.1.norm3.weight"},
      {"transformer", "blocks.1.scale_shift_table", "blocks.1.modulation"},
      {"transformer", "scale_shift_table", "head.modulation"},
      {"transformer", "proj_out.weight", "head.head.weight"},
      {"transformer", "patch_embedding.weight", "patch_embedding.weight"},
      {"transformer", "condition_embedder.time_embedder.linear_2.weight", "time_embedding.2.weight"},
      {"transformer", "condition_embedder.time_proj.bias", "time_projection.1.bias"},
      {"transformer", "condition_embedder.text_embedder.linear_1.weight", "text_embedding.0.weight"},
      {"vae", "quant_conv.weight", "conv1.weight"},
      {"vae", "post_quant_conv.bias", "conv2.bias"},
      {"vae", "encoder.conv_in.weight", "encoder.conv1.weight"},
      {"vae", "encoder.down_blocks.0.norm1.gamma", "encoder.downsamples.0.residual.0.gamma"},
      {"vae", "encoder.down_blocks.3.conv_shortcut.weight", "encoder.downsamples.3.shortcut.weight"},
      {"vae", "encoder.down_blocks.2.resample.1.weight", "encoder.downsamples.2.resample.1.weight"},
      {"vae", "encoder.mid_block.resnets.1.conv2.weight", "encoder.middle.2.residual.6.weight"},
      {"vae", "encoder.mid_block.attentions.0.to_qkv.weight", "encoder.middle.1.to_qkv.weight"},
      {"vae", "decoder.norm_out.gamma", "decoder.head.0.gamma"},
      {"vae", "decoder.conv_out.weight", "decoder.head.2.weight"},
      {"text_encoder", "shared.weight", "token_embedding.weight"},
      {"text_encoder", "encoder.final_layer_norm.weight", "norm.weight"},
      {"text_encoder", "encoder.block.1.layer.0.layer_norm.weight", "blocks.1.norm1.weight"},
      {"text_encoder", "encoder.block.1.layer.0.SelfAttention.o.weight", "blocks.1.attn.o.weight"},
      {"text_encoder", "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
       "blocks.1.pos_embedding.embedding.weight"},
      {"text_encoder", "encoder.block.1.layer.1.DenseReluDense.wi_0.weight", "blocks.1.ffn.gate.0.weight"},
      {"text_encoder", "encoder.block.1.layer.1.DenseReluDense.wi_1.weight", "blocks.1.ffn.fc1.weight"},
      {"text_encoder", "encoder.block.1.layer.1.DenseReluDense.wo.weight", "blocks.1.ffn.fc2.weight"},
  };
  for (const auto& [component, here, original] : names)
    EXPECT_EQ(tiny->original_name(component, here), original);
}

TEST_F(WeightFilesTest, AFileMayHaveTheOriginalNamesWithAPrefix) {
  for (const std::string component : {"transformer", "vae", "text_encoder"})
    for (const std::string prefix : {"", "model.diffusion_model."}) {
      const auto model = with_file(component, [&](Tensors& tensors) {
        for (auto& [name, tensor] : tensors) name = prefix + tiny->original_name(component, name);
      });
      expect_same(*model, component);
    }
}

TEST_F(WeightFilesTest, EightBitWeightsAreTimesTheirScale) {
  const auto name = layer + ".weight";
  at::Tensor stored;
  for (const std::string ending : {".scale_weight", ".weight_scale"}) {
    const auto model = with_file("transformer", [&](Tensors& tensors) {
      for (auto& [key, tensor] : tensors)
        if (key == name) tensor = stored = (tensor / 0.25).to(at::kFloat8_e4m3fn);
      tensors.emplace_back(layer + ending, at::tensor({0.25F}));
      tensors.emplace_back("scaled_fp8", at::zeros({2}).to(at::kFloat8_e4m3fn));
    });
    const auto found = weights_of(*model, "transformer");
    EXPECT_TRUE(at::equal(found->read(name), stored.to(at::kFloat) * 0.25));
    EXPECT_NO_THROW(load_denoiser(*model, {}));
  }
}

TEST_F(WeightFilesTest, EightBitMatricesAreFloat8AsTheyAreStored) {
  const auto one_scale = at::tensor({0.3F}), of_rows = at::rand({60}) + 0.1;
  for (const auto dtype : {at::kFloat8_e4m3fn, at::kFloat8_e5m2})
    for (const auto& scale : {at::Tensor(), one_scale, of_rows}) {
      at::Tensor stored;
      auto folder = with_file("transformer", [&](Tensors& tensors) {
                      for (auto& [key, tensor] : tensors)
                        if (key == layer + ".weight") tensor = stored = tensor.to(dtype);
                      if (scale.defined()) tensors.emplace_back(layer + ".scale_weight", scale);
                    })->folder();
      folder.weights_dtype = "float8";
      changed = open_model(folder);
      const auto source = weights_of(*changed, "transformer");
      const auto matrix = source->read_packed(layer + ".weight").value();
      EXPECT_TRUE(at::equal(matrix.stored.view(at::kByte), stored.view(at::kByte)));
      EXPECT_TRUE(at::equal(expand({matrix}, at::kCPU), source->read(layer + ".weight").to(at::kFloat)));
      EXPECT_EQ(source->packed_bytes(layer + ".weight"), 60 * 60 + 60 * 4);
      EXPECT_NO_THROW(load_denoiser(*changed, {}));
    }
}

TEST_F(WeightFilesTest, FormatsThatAreNotReadAreRefusedByName) {
  const auto bytes = [](const std::string& text) {
    return at::from_blob(const_cast<char*>(text.data()), {static_cast<int64_t>(text.size())},
                         at::TensorOptions(at::kByte))
        .clone();
  };
  const auto refused = [&](const std::string& format, const Tensors& instead) {
    const auto model = with_file("transformer", [&](Tensors& tensors) {
      std::erase_if(tensors, [&](const auto& tensor) { return tensor.first == layer + ".weight"; });
      tensors.insert(tensors.end(), instead.begin(), instead.end());
    });
    test::expect_error(ErrorKind::bad_input, {"transformer.safetensors", format, layer, "bf16", "GGUF"},
                       [&] { weights_of(*model, "transformer"); });
  };
  const auto packed = at::zeros({60, 30}, at::TensorOptions(at::kByte));
  const auto scale = at::ones({60, 4}).to(at::kFloat8_e4m3fn);
  const auto weight = at::zeros({60, 60}).to(at::kFloat8_e4m3fn);
  refused("nvfp4", {{layer + ".weight", packed},
                    {layer + ".weight_scale", scale},
                    {layer + ".weight_scale_2", at::ones({1})}});
  refused("nvfp4", {{layer + ".weight", packed}, {layer + ".comfy_quant", bytes(R"({"format": "nvfp4"})")}});
  refused("mxfp8", {{layer + ".weight", weight},
                    {layer + ".weight_scale", at::zeros({60, 2}, at::TensorOptions(at::kByte))}});
  refused("int8", {{layer + ".weight", at::zeros({60, 60}, at::TensorOptions(at::kChar))}});
  refused("an unknown format", {{layer + ".weight", packed}, {layer + ".comfy_quant", bytes("no JSON")}});
  refused("bitsandbytes", {{layer + ".weight.quant_state.bitsandbytes__nf4", packed}});
}

TEST_F(WeightFilesTest, ComfysMarksOfEightBitWeightsAreNoTensors) {
  const auto model = with_file("transformer", [&](Tensors& tensors) {
    for (auto& [key, tensor] : tensors)
      if (key == layer + ".weight") tensor = (tensor / 0.25).to(at::kFloat8_e4m3fn);
    tensors.emplace_back(layer + ".weight_scale", at::tensor(0.25F));
    const std::string text = R"({"format": "float8_e4m3fn"})";
    tensors.emplace_back(layer + ".comfy_quant", at::tensor(std::vector<uint8_t>(text.begin(), text.end())));
  });
  EXPECT_NO_THROW(load_denoiser(*model, {}));
}

TEST_F(WeightFilesTest, PickledFilesAreRefusedByNameOrContent) {
  for (const auto& [name, begin] :
       {std::pair{"a.pth", "any"}, std::pair{"b.bin", "any"}, std::pair{"c.safetensors", "PK\x03\x04"}}) {
    std::ofstream(place / name) << begin << "and what comes after it";
    test::expect_error(ErrorKind::bad_input, {name, "pickled", "safetensors"},
                       [&] { open_weight_file(place / name); });
  }
}

TEST_F(WeightFilesTest, LorasAddTheirProductUnderEveryName) {
  const auto before = weights_of(*tiny, "transformer")->read(layer + ".weight").to(at::kFloat);
  const auto width = before.size(0);
  const auto down = test::random_normal({2, width}, 1), up = test::random_normal({width, 2}, 2);
  const auto expected = before + 0.5 * at::mm(up, down);
  const auto check = [&](const Tensors& lora, const at::Tensor& wanted) {
    EXPECT_LE(test::relative_error(with_lora(lora, 0.5)->read(layer + ".weight"), wanted), 1e-6);
  };
  for (const std::string stem :
       {"blocks.0.attn1.to_q", "transformer.blocks.0.attn1.to_q", "diffusion_model.blocks.0.self_attn.q"}) {
    check({{stem + ".lora_A.weight", down}, {stem + ".lora_B.weight", up}}, expected);
    check({{stem + ".lora_down.weight", down}, {stem + ".lora_up.weight", up}}, expected);
  }
  const std::string kohya = "lora_unet_blocks_0_self_attn_q";
  check({{kohya + ".lora_down.weight", down},
         {kohya + ".lora_up.weight", up},
         {kohya + ".alpha", at::tensor(1.0F)}},
        before + 0.25 * at::mm(up, down));
}

TEST_F(WeightFilesTest, LorasAddDifferencesToWeightsAndBiases) {
  const auto base = weights_of(*tiny, "transformer");
  const auto norm = base->read("blocks.0.norm2.weight").to(at::kFloat),
             bias = base->read(layer + ".bias").to(at::kFloat);
  const auto source = with_lora({{"diffusion_model.blocks.0.norm3.diff", at::ones_like(norm)},
                                 {"diffusion_model.blocks.0.self_attn.q.diff_b", at::ones_like(bias)}},
                                2);
  EXPECT_TRUE(at::equal(source->read("blocks.0.norm2.weight"), norm + 2));
  EXPECT_TRUE(at::equal(source->read(layer + ".bias"), bias + 2));
  EXPECT_TRUE(at::equal(source->read(layer + ".weight"), base->read(layer + ".weight")));
}

TEST_F(WeightFilesTest, LorasOfAnotherModelAreRefused) {
  const auto x = test::random_normal({2, 4}, 1);
  test::expect_error(ErrorKind::bad_input, {"lora.safetensors", "belongs to a layer of this model"}, [&] {
    with_lora({{"double_blocks.0.img_attn.qkv.lora_A.weight", x}}, 1);
  });
  test::expect_error(ErrorKind::bad_input, {"only one half"}, [&] {
    with_lora({{layer + ".lora_A.weight", x}}, 1);
  });
  const auto halves = [&](const at::Tensor& down, const at::Tensor& up) {
    return Tensors{{layer + ".lora_A.weight", down}, {layer + ".lora_B.weight", up}};
  };
  const auto y = test::random_normal({60, 2}, 2);
  test::expect_error(ErrorKind::bad_input, {"lora_B.weight", "[4, 2]", layer, "[60, 60]", "another size"},
                     [&] { with_lora(halves(x, x.t().contiguous()), 1); });
  test::expect_error(ErrorKind::bad_input, {"lora_A.weight", "[2, 4]", "[60, 60]"},
                     [&] { with_lora(halves(x, y), 1); });
  test::expect_error(ErrorKind::bad_input, {"[4, 60]", "[60, 2]", "one rank"}, [&] {
    with_lora(halves(test::random_normal({4, 60}, 3), y), 1);
  });
  test::expect_error(ErrorKind::bad_input, {"alpha", "[2]", "a number"}, [&] {
    with_lora({{layer + ".lora_A.weight", test::random_normal({2, 60}, 3)},
               {layer + ".lora_B.weight", y},
               {layer + ".alpha", at::ones({2})}},
              1);
  });
  test::expect_error(ErrorKind::bad_input, {"diff_b", "[2, 4]", "[60]"}, [&] {
    with_lora({{layer + ".diff_b", x}}, 1);
  });
}

TEST(ParseLora, TakesAScaleAfterTheFile) {
  EXPECT_EQ(parse_lora("a/b.safetensors").scale, 1);
  EXPECT_EQ(parse_lora("a/b.safetensors:0.75").scale, 0.75);
  EXPECT_EQ(parse_lora("a/b.safetensors:0.75").file, "a/b.safetensors");
  EXPECT_EQ(parse_lora("a:b/c.safetensors").file, "a:b/c.safetensors");
  test::expect_error(ErrorKind::usage, {"FILE:SCALE"}, [] { parse_lora("a.safetensors:half"); });
}

}  // namespace
}  // namespace t2v
