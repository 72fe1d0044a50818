#!/usr/bin/env bash
# examples/parallel.sh PROMPTS OUT SHARDS: all shards on this machine, by GNU parallel; one that fails is tried twice more.
set -euo pipefail
prompts=${1:?usage: parallel.sh PROMPTS OUT SHARDS} out=${2:?} shards=${3:?}
seq 0 $((shards - 1)) | parallel --jobs "$shards" --retries 3 t2v batch "$prompts" --out-dir "$out" --shard "{}/$shards" --threads 1 --progress none
