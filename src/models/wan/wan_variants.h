// Wan's variants, and what no single file says of them.
#pragma once

#include <optional>
#include <string>

#include "models/wan/wan_transformer.h"
#include "weights/model_folder.h"

namespace t2v {

struct WanFacts {
  const char* name;            // "Wan 2.1 T2V"; its size comes after it
  const char* pipeline_class;  // that runs it
  const char* makes;           // what of what
  bool expand_timesteps = false;
  double boundary_ratio = 0;  // of two experts; 0: there is one transformer
  double flow_shift = 5, guidance_scale = 5, guidance_scale_2 = 0;
  int64_t steps = 50, width = 832, height = 480, frames = 81;
  double fps = 16;
};

// Of a transformer of these shapes; two_experts: whether it is one of two. None for shapes that are of no
// variant.
std::optional<WanFacts> wan_facts(const WanTransformerConfig& config, bool two_experts);

// "Wan 2.1 T2V 1.3B"
std::string wan_variant_name(const WanFacts& facts, const WanTransformerConfig& config);

// What t2v.json would say.
ModelDefaults defaults_of(const WanFacts& facts);
// scheduler_config.json
Json scheduler_of(const WanFacts& facts);

}  // namespace t2v
