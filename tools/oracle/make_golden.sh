#!/usr/bin/env bash
# Makes every golden file again. usage: make_golden.sh [PYTHON [OUT]]
# PYTHON: the interpreter of make_env.sh's environment (tools/oracle/.env); OUT: folder to write (tests/golden).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${1:-$here/.env/bin/python}
out=${2:-$here/../../tests/golden}
[[ -x $(command -v "$python") ]] || { echo "make_golden: no Python at $python; run tools/oracle/make_env.sh tools/oracle/.env first" >&2; exit 1; }
mkdir -p "$out"

"$python" "$here/random_wan.py" --tiny --seed 7 --dtype float16 --out "$out/wan-tiny"
if [ -e "$out/tokenizer/spiece.model" ]; then ln -sf ../../tokenizer/spiece.model "$out/wan-tiny/tokenizer/"; fi
"$python" "$here/text.py" --model "$here/../../models/world-128" --out "$out"
"$python" "$here/schedulers.py" --out "$out"
"$python" "$here/components.py" --out "$out"
"$python" "$here/trajectories.py" --out "$out"
"$python" "$here/world.py" --out "$out"
"$python" "$here/random_cogvideox.py" --out "$out"
"$python" "$here/gguf_blocks.py" --out "$out"
"$python" "$here/random_wan_variants.py" --out "$out"
"$python" "$here/random_skyreels.py" --out "$out"
"$python" "$here/tiles.py" --out "$out"
"$python" "$here/bfloat16.py" --out "$out"
"$python" "$here/picture_sizes.py" --out "$out"
chmod -R u+rw,go+r "$out"  # safetensors writes files that only their owner can read
du -sh "$out"
