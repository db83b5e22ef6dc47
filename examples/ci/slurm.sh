#!/usr/bin/env bash
# Sweeps over a thousand seeds on a cluster with Slurm, as an array job of twenty tasks:
#
#   sbatch examples/ci/slurm.sh loss-sweep
#
# Each task knows its shard from Slurm, and goes on where it was when it is started again. When all
# are done:
#
#   peerbound sim merge shard-*.jsonl
#SBATCH --job-name=peerbound-sweep
#SBATCH --array=1-20
#SBATCH --requeue
set -euo pipefail
exec "${PEERBOUND:-peerbound}" sim sweep "${1:?which scenario?}" --seeds "${SEEDS:-1000}" \
    --out "shard-${SLURM_ARRAY_TASK_ID:?this is for sbatch}.jsonl" --resume
