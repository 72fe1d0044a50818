#include "models/cogvideox/cogvideox_model.h"
#include "models/model.h"
#include "models/wan/wan_model.h"

namespace t2v {

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {"WanPipeline", "Wan text to video", open_wan},
      {"WanImageToVideoPipeline", "Wan image to video", open_wan},
      {"WanVACEPipeline", "Wan VACE", open_wan},
      {"SkyReelsV2Pipeline", "SkyReels-V2 text to video", open_wan},
      {"SkyReelsV2ImageToVideoPipeline", "SkyReels-V2 image to video", open_wan},
      {"SkyReelsV2DiffusionForcingPipeline", "SkyReels-V2 diffusion forcing", open_wan},
      {"SkyReelsV2DiffusionForcingImageToVideoPipeline", "SkyReels-V2 diffusion forcing", open_wan},
      {"SkyReelsV2DiffusionForcingVideoToVideoPipeline", "SkyReels-V2 diffusion forcing", open_wan},
      {"CogVideoXPipeline", "CogVideoX text to video", open_cogvideox},
  };
  return all;
}

}  // namespace t2v
