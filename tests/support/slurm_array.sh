#!/usr/bin/env bash
# slurm_array.sh SBATCH T2V PROMPTS OUT [FLAGS]: runs the job of two shards, within slurm_node.sh. One task's t2v is killed (kill -9) and the
# task, which Slurm then counts as failed, requeued; the other is requeued while it runs. Ends when both are done; logs are task-0 and task-1.
set -euo pipefail
job_file=$1 program=$2 prompts=$3 out=$4
shift 4
PATH=$(dirname "$program"):$PATH
export PATH

# wait_until COMMAND...: at most 90 s.
wait_until() {
  local end=$((SECONDS + 90))
  until "$@"; do
    if [ "$SECONDS" -gt "$end" ]; then
      echo "never came true: $*" >&2
      squeue --array >&2
      cat task-* >&2
      exit 1
    fi
    sleep 0.05
  done
}
has_finished_a_clip() { grep -qs '\.mp4$' "task-$1" && ! is_over "$1"; }
state() { scontrol --oneliner show job "${job}_$1" | grep -o 'JobState=[A-Z_]*' | cut -d= -f2; }
is_over() { case $(state "$1") in PENDING | RUNNING | COMPLETING | REQUEUED) return 1 ;; esac }
has_failed() { [ "$(state "$1")" = FAILED ]; }
has_completed() { [ "$(state "$1")" = COMPLETED ]; }

job=$(sbatch --parsable --array=0-1 --output=task-%a "$job_file" "$prompts" "$out" "$@")
wait_until has_finished_a_clip 1
read -r _ process _ <"$out/.t2v/shard-1-of-2.lock"  # "process 123 on host"
kill -KILL "$process"
echo "killed 1"
wait_until has_finished_a_clip 0
scontrol requeue "${job}_0"
echo "requeued 0"
wait_until has_failed 1
scontrol requeue "${job}_1"
echo "requeued 1"
wait_until has_completed 0
wait_until has_completed 1
