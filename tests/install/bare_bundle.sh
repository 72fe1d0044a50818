#!/usr/bin/env bash
# Unpacks what tools/bundle made on a bare Debian, made by debootstrap for this, and makes clips there, as a user who
# is not root, with a PyTorch from elsewhere. As root; needs a network and 1 GB in $TMPDIR. The mirror is the one that
# apt has here.
#
#   tests/install/bare_bundle.sh BUNDLE.tar.xz SUITE PACKAGES   PACKAGES: a folder that pip install --target has made of
#                                                               torch, nvidia-cuda-runtime and nvidia-cuda-cupti
set -euo pipefail
bundle=$(realpath "$1") suite=$2 packages=$(realpath "$3")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/*$|p' | tail -n 1)

# In a mount namespace of its own, so that what is mounted goes when the script ends.
if [ "${T2V_BARE_BUNDLE:-}" != inside ]; then exec env T2V_BARE_BUNDLE=inside unshare -m "$0" "$@"; fi

root=$(mktemp -d "${TMPDIR:-/tmp}/bare-$suite-XXXXXX")
trap 'umount "$root/packages" "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT

log=$root.log
debootstrap --variant=minbase --include=python3-minimal "$suite" "$root" "$mirror" >"$log" 2>&1 ||
  { tail "$log"; exit 1; }
rm "$log"
mount -t proc proc "$root/proc"
chmod 755 "$root"
mkdir -p "$root/packages" "$root/home/any folder"
mount --bind -o ro "$packages" "$root/packages"
tar -C "$root/home/any folder" -xJf "$bundle"
mkdir -m 777 "$root/clips"

inside() {
  chroot --userspec=1000:1000 "$root" env -i PATH=/usr/bin:/bin HOME=/clips LC_ALL=C.UTF-8 "$@"
}
t2v=/$(cd "$root" && find "home/any folder" -maxdepth 2 -name t2v)
prompt="a red circle bouncing on a navy background"
cat "$root/etc/debian_version"
inside PYTHONPATH=/packages "$t2v" info                # found by python3
inside T2V_TORCH=/packages/torch "$t2v" info >/dev/null # named
if inside "$t2v" info 2>"$root/said"; then echo "t2v ran without a libtorch"; exit 1; fi
grep -q 'Install PyTorch' "$root/said"
for file in clip.mp4 clip.mkv clip.webm clip.gif clip.webp clip.mov clip.avi; do
  inside PYTHONPATH=/packages "$t2v" generate "$prompt" --seed 1 --steps 2 --frames 9 --progress none -o "/clips/$file"
  inside PYTHONPATH=/packages "$t2v" info "/clips/$file" >"$root/said"
  grep -q 'red circle' "$root/said"
done
for codec in hevc av1; do
  inside PYTHONPATH=/packages "$t2v" generate "$prompt" --steps 2 --frames 9 --codec $codec --progress none \
    -o /clips/$codec.mp4
done
for library in ffmpeg libx265-199 libspdlog1.10; do [ -s "$root${t2v%/*}/share/licences/$library" ]; done
echo "the bundle works on $suite"
