#!/usr/bin/env bash
# Installs the .deb of cpack on a bare Debian, made by debootstrap for this, and makes a clip there.
# As root; needs a network and 2 GB in $TMPDIR. The mirror is the one that apt has here.
#
#   tests/install/bare_debian.sh DEB SUITE [OTHER]     OTHER: a second suite that apt may take packages from
set -euo pipefail
deb=$(realpath "$1") suite=$2 other=${3:-}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/*$|p' | tail -n 1)

# In a mount namespace of its own, so that /proc goes when the script ends.
if [ "${T2V_BARE_DEBIAN:-}" != inside ]; then exec env T2V_BARE_DEBIAN=inside unshare -m "$0" "$@"; fi

root=$(mktemp -d "${TMPDIR:-/tmp}/bare-$suite-XXXXXX")
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT

log=$root.log
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$log" 2>&1 || { tail "$log"; exit 1; }
rm "$log"
cp /etc/resolv.conf "$root/etc/"
mount -t proc proc "$root/proc"
if [ -n "$other" ]; then echo "deb $mirror $other main" >"$root/etc/apt/sources.list.d/$other.list"; fi
cp "$deb" "$root/t2v.deb"

inside() {
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}
inside apt-get -q update
inside apt-get -q install --yes --no-install-recommends /t2v.deb
cat "$root/etc/debian_version"
inside t2v info
inside t2v generate "a red circle bouncing on a navy background" --seed 1 -o /clip.mp4
inside t2v info /clip.mp4
[ -s "$root/usr/share/doc/t2v/copyright" ]
inside apt-get -q purge --yes t2v
[ ! -e "$root/usr/lib/t2v" ]
echo "t2v works on $suite${other:+ with packages of $other}"
