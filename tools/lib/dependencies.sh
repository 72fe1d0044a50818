# libtorch: fetched with pip from the package index that the user's pip is set up for, kept in the cache. Sourced, never run.
# shellcheck shell=bash
# Every download goes to a temporary folder inside the cache and is renamed when it is complete, so that an interrupted run can simply be repeated.

torch_version=2.15.0
# The two libraries that libtorch_cpu is linked to, and all that libtorch_cuda is linked to: the versions that torch 2.15.0's own metadata names.
torch_cpu_wheels=(nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86)
torch_cuda_wheels=(
  nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86 nvidia-cuda-nvrtc==13.2.86 nvidia-nvtx==13.2.86 nvidia-nvjitlink==13.2.86
  nvidia-cublas==13.4.1.3 nvidia-cufft==12.2.0.57 nvidia-cufile==1.17.1.22 nvidia-cusolver==12.2.0.11 nvidia-cusparse==12.7.10.12
  nvidia-cudnn-cu13==9.26.0.51 nvidia-cusparselt-cu13==0.8.1 nvidia-nccl-cu13==2.30.7 nvidia-nvshmem-cu13==3.7.2
)
unused_libraries=('*_python*' '*libshm*' '*global_deps*' '*/libtorch.so')
torch_cpu_megabytes=1200     # at its fullest, while pip moves the wheel or while it is unpacked
torch_cuda_megabytes=5000

# A GPU that works, not only a driver that is installed.
torch_variant() {
  if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then echo cuda; else echo cpu; fi
}

# install_dependencies: makes sure that libtorch is in the cache; sets torch_root.
install_dependencies() {
  local variant
  variant=$(torch_variant)
  torch_root=$cache/torch-$torch_version-$variant
  mkdir -p "$cache" || fail "the cache folder $cache cannot be made." "Name another one: T2V_CACHE=/some/folder $0"
  take_lock "$cache/lock" "the cache $cache"
  partial=$cache/partial
  trap 'rm -rf "$partial"' EXIT
  install_torch "$variant"
  rm -rf "$partial"
  trap - EXIT
  release_lock
}

clear_partial() {
  rm -rf "$partial"
  mkdir -p "$partial/download" "$partial/tree/include" "$partial/tree/lib"
}

# download OPTION... REQUIREMENT: one file into $partial/download. pip's own temporary files stay on the same disk.
download() {
  logged "$cache/logs/download.log" "${*: -1} could not be downloaded. Is there a network, and does '${pip_client[*]} download ${*: -1}' work?" \
    env TMPDIR="$partial" "${pip_client[@]}" download --no-cache-dir --no-deps --dest "$partial/download" "$@"
}

# download_wheel REQUIREMENT: of the newest kind that needs no newer C library than 2.28. pip wants every older kind named, too.
download_wheel() {
  local tags=(--platform "manylinux2014_$(uname -m)") minor
  for minor in {28..17}; do tags+=(--platform "manylinux_2_${minor}_$(uname -m)"); done
  download --only-binary=:all: --python-version 3.12 "${tags[@]}" "$1"
}

# unpack FLAGS FOLDER PATTERN...: from the downloaded wheel. The flag -j drops the folders' names.
unpack() {
  logged "$cache/logs/unpack.log" "a wheel could not be unpacked. Is the disk of $cache full?" \
    unzip "$1" "$partial"/download/*.whl "${@:3}" -d "$2"
}

install_torch() {
  begin libtorch "$torch_version for $1"
  if [ -d "$torch_root" ]; then
    finish "in the cache"
    return
  fi
  if [ "$1" = cuda ]; then need_disk "$cache" "$torch_cuda_megabytes" "libtorch"; else need_disk "$cache" "$torch_cpu_megabytes" "libtorch"; fi
  clear_partial
  printf 'downloading, some minutes ... '
  download_wheel "torch==$torch_version"
  unpack -qo "$partial" 'torch/include/*'
  mv "$partial"/torch/include/* "$partial/tree/include/"
  unpack -qoj "$partial/tree" 'torch-*/licenses/LICENSE'
  "unpack_libraries_$1"
  check_libraries
  mv "$partial/tree" "$torch_root"
  finish
}

unpack_libraries_cpu() {
  unpack -qoj "$partial/tree/lib" 'torch/lib/*.so*' -x '*cuda*' '*nvshmem*' '*nvrtc*' "${unused_libraries[@]}"
  add_wheels 'nvidia/*/libcu*.so.*' "${torch_cpu_wheels[@]}"
}

unpack_libraries_cuda() {
  unpack -qoj "$partial/tree/lib" 'torch/lib/*.so*' -x "${unused_libraries[@]}"
  add_wheels 'nvidia/*/lib*.so*' "${torch_cuda_wheels[@]}"
}

# add_wheels PATTERN REQUIREMENT...: the libraries of one wheel after the other, so that the disk never holds all wheels at once.
add_wheels() {
  local pattern=$1 wheel
  shift
  for wheel in "$@"; do
    rm "$partial"/download/*.whl
    download_wheel "$wheel"
    unpack -qoj "$partial/tree/lib" "$pattern"
  done
}

# Every library finds what it is linked to beside itself. libcuda belongs to the driver.
check_libraries() {
  local library absent
  for library in "$partial"/tree/lib/libtorch_*.so; do
    absent=$(ldd "$library" | awk '/not found/ && $1 !~ /^libcuda\.so/ { print $1 }')
    if [ -n "$absent" ]; then fail "$(basename "$library") does not find" "$absent"; fi
  done
}
