// One JSON text as every config file of a model folder.
#include <ATen/ATen.h>

#include "input.h"
#include "models/cogvideox/cogvideox_transformer.h"
#include "models/cogvideox/cogvideox_vae.h"
#include "models/encoders/t5_encoder.h"
#include "models/wan/wan_transformer.h"
#include "models/wan/wan_vae.h"
#include "schedulers/scheduler_classes.h"
#include "weights/model_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  static const test::TemporaryFolder folder;
  Json json;
  if (!fuzz::accepts([&] { json = parse_json(fuzz::text_of(data, size), "input"); }))
    return 0;  // so it would be in every file
  for (const char* name : {"model_index.json", "t2v.json"}) fuzz::write_input(folder / name, data, size);
  fuzz::accepts([&] { open_model_folder(folder.path()); });
  fuzz::write_input(folder / "model_index.json",
                    reinterpret_cast<const uint8_t*>(R"({"_class_name": "WanPipeline"})"), 30);
  fuzz::accepts([&] { open_model_folder(folder.path()); });  // so that t2v.json is reached as well
  fuzz::accepts([&] { parse_umt5_config(json, "input"); });
  fuzz::accepts([&] { parse_wan_transformer_config(json, "input"); });
  fuzz::accepts([&] { parse_wan_vae_config(json, "input"); });
  fuzz::accepts([&] { parse_cogvideox_transformer_config(json, "input"); });
  fuzz::accepts([&] { parse_cogvideox_vae_config(json, "input"); });
  fuzz::accepts([&] {
    const auto config = parse_scheduler_config(json, "input");
    for (const auto& name : scheduler_names())
      fuzz::accepts([&] { make_scheduler(name, config, {.steps = 3, .tokens = 300}); });
  });
  return 0;
}
