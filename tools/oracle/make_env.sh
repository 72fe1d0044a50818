#!/usr/bin/env bash
# Python environment with the reference implementations, about 6 GB. usage: make_env.sh DIR
set -euo pipefail
dir=${1:?usage: make_env.sh DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python3 -m venv "$dir"
"$dir/bin/pip" install -q -r "$here/requirements.txt"
"$dir/bin/python" -c "import torch, diffusers, transformers; print('torch', torch.__version__, 'diffusers', diffusers.__version__, 'transformers', transformers.__version__)"
