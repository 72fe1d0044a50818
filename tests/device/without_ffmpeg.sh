#!/bin/sh
# The programs of tools/device-check and tools/device-train, as the build has linked them beside t2v: they run without
# FFmpeg's libraries, and nothing of them but the video room is compiled with a header that tools/device-bundle does
# not carry.
set -eu
cd "$1"
for program in tests/device/t2v_device_train tests/device/t2v_test_device_without_ffmpeg; do
  libraries=$(ldd $program)
  if echo "$libraries" | grep -E 'libav|libsw'; then
    echo "$program is linked to FFmpeg"
    exit 1
  fi
  echo "$libraries" | grep -q libtorch_cpu
done
tests/device/t2v_device_train 2>&1 | grep -q 'CONFIG RUN DEVICE MINUTES'
tests/device/t2v_test_device_without_ffmpeg --gtest_list_tests | grep -q '^ShippedModel'

[ -e build.ninja ] || exit 0
rooms='base|weights|text|tokens|nn|models|schedulers|pipeline|world|train'
headers=$(ninja -t deps | awk -v mine="/t2v_($rooms|test_device|device_train_main|video_without_ffmpeg)[.]dir/" '
  /^[^ ]/ { is_mine = $0 ~ mine; objects += is_mine; object = $1 }
  is_mine && /\/(libav|libsw|CLI\/|sqlite3)/ { print object, $1 }
  END { if (objects < 30) print objects + 0, "objects are known to ninja" }')
[ -z "$headers" ] || { echo "$headers"; exit 1; }
