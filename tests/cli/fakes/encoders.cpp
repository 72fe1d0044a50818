// Preloaded, an FFmpeg without the encoder that T2V_FAKE_MISSING names.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

struct AVCodec;

extern "C" [[gnu::visibility("default")]] const AVCodec* avcodec_find_encoder_by_name(const char* name) {
  using Find = const AVCodec* (*)(const char*);
  static const auto find = reinterpret_cast<Find>(::dlsym(RTLD_NEXT, "avcodec_find_encoder_by_name"));
  const char* missing = std::getenv("T2V_FAKE_MISSING");
  return missing != nullptr && std::strcmp(name, missing) == 0 ? nullptr : find(name);
}
