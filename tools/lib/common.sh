# Helpers that tools/quickstart and tools/test share. Sourced, never run.
# shellcheck shell=bash

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${T2V_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/t2v}   # the same folder as in cmake/T2vCache.cmake
line_open=no

# begin NAME TEXT prints the stage's line and leaves it open; finish [TEXT] closes it.
begin() {
  stage_start=$SECONDS
  printf '%-13s %s ... ' "$1" "$2"
  line_open=yes
}

finish() {
  printf '%s\n' "${1:-done ($((SECONDS - stage_start)) s)}"
  line_open=no
}

# fail LINE...: ends the script with a message for a person.
fail() {
  if [ "$line_open" = yes ]; then printf 'failed\n'; fi
  printf 'error: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '       %s\n' "$@" >&2; fi
  exit 1
}

# logged LOG WHAT COMMAND...: the command's output goes to LOG; when it fails, the end of the log is shown and WHAT says what to do.
logged() {
  local log=$1 what=$2
  shift 2
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    if [ "$line_open" = yes ]; then printf 'failed\n'; line_open=no; fi
    tail -n 25 "$log" >&2
    fail "$what" "The whole output: $log"
  fi
}

# need_disk FOLDER MEGABYTES WHAT
need_disk() {
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
  if [ "$free" -lt "$2" ]; then
    fail "$3 needs $2 MB of disk, but $1 has $free MB free." "Free some space there, or name another folder: T2V_CACHE=/large/disk/t2v $0"
  fi
}

# take_lock FILE WHAT: waits while another run holds it; it is given back by release_lock or when the script ends.
take_lock() {
  exec 9>"$1"
  if ! flock --nonblock 9; then
    begin lock "another run uses $2, waiting"
    flock 9
    finish
  fi
}

release_lock() {
  exec 9>&-
}

# One job for each core, but no more than the memory holds: a file that includes libtorch takes up to 2 GB to compile.
build_jobs() {
  local memory
  memory=$(awk '/^MemTotal:/ { print int($2 / 2000000) }' /proc/meminfo)
  echo $(( memory < 1 ? 1 : memory < $(nproc) ? memory : $(nproc) ))
}

# leave_root SCRIPT [ARGUMENT...]: under `sudo SCRIPT` the packages are installed by now; goes on as the user who called, so that the build and the cache are theirs.
leave_root() {
  local user=${SUDO_USER:-root}
  if [ "$EUID" -ne 0 ] || [ "$user" = root ] || [ "$(stat -c %U "$source_dir")" != "$user" ]; then return; fi
  exec runuser -u "$user" -- env -u SUDO_USER HOME="$(getent passwd "$user" | cut -d: -f6)" "$@"
}
