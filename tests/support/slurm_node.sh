#!/usr/bin/env bash
# slurm_node.sh FOLDER COMMAND...: runs COMMAND beside a Slurm of one node (munged, slurmctld, slurmd; all state in FOLDER) and stops the node
# again. 77: there is no Slurm here, or it does not start. Otherwise ends as COMMAND does.
set -euo pipefail
folder=$1
shift
PATH=$PATH:/usr/sbin
for program in munged slurmctld slurmd sbatch; do command -v "$program" >/dev/null || { echo "no $program" >&2; exit 77; }; done

# Ports that nobody listens on.
port=$((20000 + $$ % 10000))
while (: <"/dev/tcp/127.0.0.1/$port" || : <"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null; do port=$((port + 2)); done

host=$(hostname -s)
user=$(id -un)
mkdir -p "$folder"/{munge,controller,node}
chmod 700 "$folder/munge"
(umask 077 && head -c 128 /dev/urandom >"$folder/munge/key")
# cred_expire is also how long a requeued job waits.
cat >"$folder/slurm.conf" <<END
ClusterName=t2v
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=10
StateSaveLocation=$folder/controller
SlurmdSpoolDir=$folder/node
SlurmctldPidFile=$folder/controller.pid
SlurmdPidFile=$folder/node.pid
SlurmctldLogFile=$folder/controller.log
SlurmdLogFile=$folder/node.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
RequeueExit=1,4,5,143
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN
PartitionName=farm Nodes=$host Default=YES MaxTime=10 State=UP
END
export SLURM_CONF=$folder/slurm.conf

stop() {
  timeout 5 scancel --user="$user" 2>/dev/null || true
  local processes
  processes=$(jobs -p)
  # shellcheck disable=SC2086  # several
  [ -z "$processes" ] || kill $processes 2>/dev/null || true
  # slurmd waits for its jobs.
  local tries
  for ((tries = 0; tries < 100; ++tries)); do
    [ -n "$(jobs -pr)" ] || return 0
    sleep 0.1
  done
  # shellcheck disable=SC2046
  kill -KILL $(jobs -pr) 2>/dev/null || true
}
trap stop EXIT
trap 'exit 143' INT TERM

# wait_until COMMAND...: at most 30 s.
wait_until() {
  local tries
  for ((tries = SECONDS; SECONDS - tries < 30;)); do
    if "$@"; then return; fi
    sleep 0.1
  done
  echo "Slurm does not start: $*" >&2
  cat "$folder"/*.out >&2
  exit 77
}
node_is_idle() { [ "$(timeout 5 sinfo --noheader --format=%T 2>/dev/null)" = idle ]; }

munged --foreground --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" --log-file="$folder/munge/log" \
  --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" >"$folder/munged.out" 2>&1 &
wait_until test -S "$folder/munge/socket"
slurmctld -D -c >"$folder/controller.out" 2>&1 &
slurmd -D -c >"$folder/node.out" 2>&1 &
wait_until node_is_idle
"$@"
