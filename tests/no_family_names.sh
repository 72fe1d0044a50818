#!/bin/sh
# No room but models names a model family: adding one touches no other.
cd "$1/src" || exit 1
found=$(grep -rnE 'Wan[A-Z][a-z]|\bwan_[a-z]|[Uu]mt5|CogVideo|cogvideo|[Ss]ky[Rr]eels' tokens pipeline world train batch cli video |
  grep -vE '^[^:]*:[0-9]*: *//|// Source:')
[ -z "$found" ] || { echo "$found"; exit 1; }
