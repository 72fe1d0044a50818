# What t2v needs from the distribution. Sourced, never run.
# shellcheck shell=bash

# To build and run. fmt comes with spdlog.
build_packages=(
  g++ cmake ninja-build pkg-config ccache
  libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libswscale-dev
  nlohmann-json3-dev libcli11-dev libspdlog-dev libutf8proc-dev libxxhash-dev libsqlite3-dev
  libsentencepiece-dev libgloo-dev
  libgtest-dev libbenchmark-dev
  ca-certificates unzip
)

# For tools/test and tools/fuzz besides: the fuzz targets, the system calls of a run, a browser that looks at reports, render farms, other
# clocks, media files of other programs, shells that complete, readers of the manual page, what cpack needs.
test_packages=(clang libclang-rt-14-dev strace chromium-headless-shell slurm-client slurmctld slurmd slurm-wlm-basic-plugins munge parallel faketime ffmpeg
  zsh fish groff-base mandoc dpkg-dev file)

# The same things, as seen without Debian's package manager.
build_commands=(g++ cmake ninja pkg-config unzip)
build_modules=(libavcodec libavfilter libavformat libavutil libswscale nlohmann_json CLI11 spdlog libutf8proc libxxhash sqlite3 sentencepiece gtest benchmark)
build_headers=(gloo/context.h)

# find_pip: sets pip_client to a Python that has pip. Python is the download client for libtorch, and nothing else.
find_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      pip_client=("$python" -m pip)
      return 0
    fi
  done
  return 1
}

# missing_packages PACKAGE...: those that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then echo "$package"; fi
  done
  if ! find_pip; then echo python3-pip; fi
}

is_debian_12() {
  # shellcheck source=/dev/null
  [ -r /etc/os-release ] && (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ])
}

# install_packages PACKAGE...: on Debian 12 installs what is missing, elsewhere checks that everything is there.
install_packages() {
  begin packages "Debian packages"
  if ! is_debian_12; then
    check_other_distribution "$@"
    find_pip
    finish "found"
    return
  fi
  local missing=()
  mapfile -t missing < <(missing_packages "$@")
  if [ ${#missing[@]} -eq 0 ]; then
    find_pip
    finish "all there"
    return
  fi
  printf 'installing %s ... ' "${missing[*]}"
  local as_root=()
  if [ "$EUID" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      fail "these packages are missing, and there is no sudo to install them with." "As root: apt-get install --no-install-recommends ${missing[*]}" "Then run $0 again."
    fi
    as_root=(sudo)
  fi
  apt_get update
  apt_get install --yes --no-install-recommends "${missing[@]}"
  find_pip || fail "python3-pip is installed, but python3 -m pip does not work."
  finish
}

# apt_get ARGUMENT...: as root; waits up to ten minutes while another apt or dpkg holds the lock.
apt_get() {
  local log give_up=$((SECONDS + 600))
  log=$(mktemp --suffix=.log)
  until "${as_root[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >"$log" 2>&1; do
    if grep -qE 'Could not get lock|Unable to acquire the dpkg|Unable to lock' "$log" && [ "$SECONDS" -lt "$give_up" ]; then
      sleep 5
      continue
    fi
    printf 'failed\n'
    line_open=no
    tail -n 15 "$log" >&2
    if grep -qiE "don't have enough free|No space left" "$log"; then fail "the disk is too full for the Debian packages." "The whole output: $log"; fi
    fail "apt-get $1 failed. Is there a network, and does /etc/apt name Debian 12 (bookworm)?" "The whole output: $log"
  done
  rm "$log"
}

check_other_distribution() {
  local missing=() name
  for name in "${build_commands[@]}"; do command -v "$name" >/dev/null || missing+=("$name"); done
  for name in "${build_modules[@]}"; do pkg-config --exists "$name" 2>/dev/null || missing+=("$name (pkg-config)"); done
  for name in "${build_headers[@]}"; do g++ -E -x c++ -include "$name" /dev/null >/dev/null 2>&1 || missing+=("$name"); done
  find_pip || missing+=("python3 -m pip")
  if [ ${#missing[@]} -gt 0 ]; then
    fail "this is not Debian 12, so nothing is installed automatically. Missing: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')." \
      "Install them by hand and run $0 again. On Debian 12 they are in these packages:" "$* python3-pip"
  fi
}
