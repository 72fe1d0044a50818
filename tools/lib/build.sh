# Configure and build. Sourced, never run.
# shellcheck shell=bash

build_dir=$source_dir/build/release
build_megabytes=1500

# Processor minutes from nothing, without ccache, roughly: the program for tools/quickstart, everything for tools/test.
program_minutes=9
all_minutes=14

# minutes_to_build TARGET: on this machine, where nothing is built yet.
minutes_to_build() {
  local minutes=$program_minutes
  if [ "$1" = all ]; then minutes=$all_minutes; fi
  echo $(((minutes + $(build_jobs) - 1) / $(build_jobs)))
}

# show_steps: copies ninja's lines, and shows their [n/m] on the stage's line, behind which it leaves the cursor.
show_steps() {
  local line text='' blank
  while IFS= read -r line; do
    printf '%s\n' "$line"
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
      blank=${text//?/ }
      printf '%s' "${text//?/$'\b'}$blank${blank//?/$'\b'}" >&3
      text="[${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}] "
      printf '%s' "$text" >&3
    fi
  done
}

# run_build ARGUMENT...: cmake --build; on a terminal with the steps that are done.
run_build() {
  if [ -t 3 ]; then
    cmake --build "$@" 2>&1 | show_steps
  else
    cmake --build "$@"
  fi
}

# build TARGET [PRESET]: of the release preset or another, with the dependencies that install_dependencies found.
build() {
  build_dir=$source_dir/build/${2:-release}
  mkdir -p "$build_dir" || fail "$build_dir cannot be made. Who owns $source_dir?"
  take_lock "$build_dir/.lock" "the build folder $build_dir"
  if [ -e "$build_dir/build.ninja" ]; then
    begin build "t2v, what has changed"
  else
    begin build "t2v, about $(minutes_to_build "$1") minutes from nothing"
    need_disk "$build_dir" "$build_megabytes" "the build"
  fi
  logged "$build_dir/configure.log" "cmake could not configure the build." \
    cmake -S "$source_dir" --preset "${2:-release}" -DT2V_CACHE="$cache" -DTorch_ROOT="$torch_root"
  logged "$build_dir/build.log" "the build failed." run_build "$build_dir" --target "$1" --parallel "$(build_jobs)" 3>&1
  finish
}
