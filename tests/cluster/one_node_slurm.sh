#!/usr/bin/env bash
# A SLURM of one node on this machine, without systemd: one_node_slurm.sh start | stop. As root, on Debian or Ubuntu.
#
# What is missing (slurm-wlm, munge) is installed. The configuration stands in SLURM's default folder, because the SLURM
# plugin of Snakemake drops SLURM's variables; the configuration of a real cluster is never overwritten.
set -euo pipefail

CONF=/etc/slurm/slurm.conf
MARK="# One node, for tests."
STATE=/var/lib/planedict-slurm
HOST=$(hostname -s)

fail() { echo "$1" >&2; exit 1; }

install_packages() {
    command -v slurmctld slurmd munged sbatch >/dev/null && return
    export DEBIAN_FRONTEND=noninteractive
    timeout 60 apt-get update >/dev/null 2>&1 || true
    timeout 200 apt-get install -y --no-install-recommends slurm-wlm munge >/dev/null 2>&1 ||
        fail "slurm-wlm and munge cannot be installed here."
}

configure() {
    [ ! -e "$CONF" ] || grep -qxF "$MARK" "$CONF" || fail "$CONF is of a real cluster: left alone."
    mkdir -p "$STATE/ctld" "$STATE/d" /etc/slurm
    # Two pretended GPUs: nothing looks into the files, but jobs get CUDA_VISIBLE_DEVICES.
    touch "$STATE/gpu0" "$STATE/gpu1"
    echo "Name=gpu File=$STATE/gpu[0-1]" > /etc/slurm/gres.conf
    # cred_expire is also how long a requeued job waits (120 s otherwise).
    cat > "$CONF" <<END
$MARK
ClusterName=one
SlurmctldHost=$HOST
SlurmUser=root
AuthInfo=cred_expire=3
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2
AccountingStorageType=accounting_storage/none
GresTypes=gpu
ReturnToService=2
KillWait=3
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/d
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
$(slurmd -C | head -1) Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

start() {
    [ "$(id -u)" = 0 ] || fail "Only root can start SLURM."
    install_packages
    configure
    if ! munge -n >/dev/null 2>&1; then
        [ -e /etc/munge/munge.key ] || runuser -u munge -- mungekey
        install -d -o munge -g munge /run/munge
        runuser -u munge -- munged
    fi
    pgrep -x slurmctld >/dev/null || slurmctld -c
    pgrep -x slurmd >/dev/null || slurmd
    for _ in $(seq 60); do
        [[ "$(sinfo --noheader --format=%T 2>/dev/null)" =~ ^(idle|mixed|allocated)$ ]] && return
        sleep 0.5
    done
    tail --lines=5 "$STATE"/*.log >&2
    fail "SLURM did not start within 30 seconds."
}

stop() {
    for name in slurmd slurmctld; do
        [ ! -e "$STATE/$name.pid" ] || kill "$(cat "$STATE/$name.pid")" || true
    done
}

case "${1-}" in
    start | stop) "$1" ;;
    *) fail "one_node_slurm.sh start | stop" ;;
esac
