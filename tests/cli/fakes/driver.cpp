// In the place of NVIDIA's driver, libcuda.so.1: for the CUDA T2V_FAKE_CUDA (99000: 99.0, where it is not
// set), with the cards that T2V_FAKE_CARDS counts.
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {
int number(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}
int cards() { return number("T2V_FAKE_CARDS", 0); }
}  // namespace

extern "C" {
[[gnu::visibility("default")]] int cuInit(unsigned) { return cards() > 0 ? 0 : 100; }
[[gnu::visibility("default")]] int cuDriverGetVersion(int* version) {
  *version = number("T2V_FAKE_CUDA", 99000);
  return 0;
}
[[gnu::visibility("default")]] int cuDeviceGetCount(int* count) {
  *count = cards();
  return 0;
}
[[gnu::visibility("default")]] int cuDeviceGetName(char* name, int size, int card) {
  std::snprintf(name, static_cast<std::size_t>(size), "Fake card %d", card);
  return 0;
}
[[gnu::visibility("default")]] int cuDeviceGetAttribute(int* value, int, int) {
  *value = 9;
  return 0;
}
[[gnu::visibility("default")]] int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = std::size_t{80} << 30;
  return 0;
}
}
