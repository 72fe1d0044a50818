# What tools/device-check and tools/device-train share: the build on a machine with a card, without FFmpeg and a network. Sourced, never run.
# shellcheck shell=bash

device_build=${T2V_DEVICE_BUILD:-$source_dir/build/device}
device_bundle=${T2V_CARRIED:-$source_dir/build/device-bundle}   # made here, or carried along

# device_torch: T2V_TORCH, else python3's PyTorch, else what tools/quickstart installed.
device_torch() {
  if [ -n "${T2V_TORCH-}" ]; then echo "$T2V_TORCH" && return; fi
  python3 -c 'import importlib.util, os; print(os.path.dirname(importlib.util.find_spec("torch").origin))' 2>/dev/null ||
    find "$cache" -maxdepth 1 -name 'torch-*' | sort -V | tail -n 1
}

# build_for_device TARGET LOG
build_for_device() {
  local torch generator=()
  torch=$(device_torch)
  [ -e "$torch/lib/libtorch_cpu.so" ] || fail "no libtorch: neither T2V_TORCH, python3's PyTorch nor $cache has lib/libtorch_cpu.so."
  if [ ! -e "$device_bundle" ]; then "$source_dir/tools/device-bundle" "$device_bundle"; fi
  if command -v ninja >/dev/null; then generator=(-G Ninja); fi
  begin build "against $torch"
  logged "$2" "cmake could not configure the build." cmake -S "$source_dir" -B "$device_build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=6 -DT2V_DEVICE_CHECK=ON -DT2V_CARRIED="$(realpath "$device_bundle")" -DTorch_ROOT="$torch" -DT2V_WERROR=OFF   # another compiler warns of other things
  logged "$2" "the build failed." cmake --build "$device_build" --target "$1" --parallel "$(build_jobs)"
  finish
}
