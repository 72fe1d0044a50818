# Configure and build. Sourced, never run.
# shellcheck shell=bash

build_dir=$source_dir/build/release
build_megabytes=1500

# build TARGET [PRESET]: of the release preset or another, with the dependencies that install_dependencies found.
build() {
  build_dir=$source_dir/build/${2:-release}
  mkdir -p "$build_dir" || fail "$build_dir cannot be made. Who owns $source_dir?"
  take_lock "$build_dir/.lock" "the build folder $build_dir"
  begin build "t2v, some minutes the first time"
  if [ ! -e "$build_dir/build.ninja" ]; then need_disk "$build_dir" "$build_megabytes" "the build"; fi
  logged "$build_dir/configure.log" "cmake could not configure the build." \
    cmake -S "$source_dir" --preset "${2:-release}" -DT2V_CACHE="$cache" -DTorch_ROOT="$torch_root"
  logged "$build_dir/build.log" "the build failed." cmake --build "$build_dir" --target "$1" --parallel "$(build_jobs)"
  finish
}
