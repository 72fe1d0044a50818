#!/usr/bin/env bash
# What tools/quickstart and tools/test show while cmake builds: [n of m] on a terminal, nothing elsewhere, and ninja's lines in the log either way.
set -euo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A cmake that takes three steps, and that fails when it is told to.
cat >"$work/cmake" <<'END'
#!/bin/sh
for step in 1 2 3; do echo "[$step/3] Building $step.o"; done
[ "$1" != --build ] || [ ! -e "$(dirname "$0")/broken" ] || { echo "FAILED: 3.o"; exit 1; }
END
cat >"$work/build.sh" <<'END'
set -euo pipefail
. "$1/tools/lib/common.sh"
. "$1/tools/lib/build.sh"
source_dir=$2 build_dir=$2/build/release cache=$2 torch_root=$2 build_megabytes=1
build t2v_cli_program
END
chmod +x "$work/cmake"
export PATH="$work:$PATH"

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}
on_terminal() { script -qec "bash '$work/build.sh' '$root' '$work'" /dev/null </dev/null; }
log=$work/build/release/build.log

plain=$(bash "$work/build.sh" "$root" "$work")
[[ $plain == *"build "*minutes*"... done"* && $plain != *" of "* ]] || fail "not on a terminal: $plain"
grep -q '^\[3/3\] Building 3.o' "$log" || fail "the log lacks ninja's lines"

rm "$log"
seen=$(on_terminal)
for step in 1 2 3; do [[ $seen == *"[$step of 3]"* ]] || fail "on a terminal, no step $step: $seen"; done
[[ $seen == *"done"* && $seen != *Building* ]] || fail "on a terminal: $seen"
grep -q '^\[3/3\] Building 3.o' "$log" || fail "on a terminal the log lacks ninja's lines"

touch "$work/broken"
if seen=$(on_terminal); then fail "a build that fails is not told: $seen"; fi
[[ $seen == *"the build failed."* && $seen == *"FAILED: 3.o"* ]] || fail "a build that fails: $seen"
