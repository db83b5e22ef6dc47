//! What of the environment must not reach the program under test.

/// Every variable that the program reads.
pub(crate) const VARIABLES: [&str; 11] = [
    "PEERBOUND_CA_PASSPHRASE",
    "PEERBOUND_LOG",
    "PEERBOUND_SHARDS",
    "PEERBOUND_SOCKET",
    "RUNTIME_DIRECTORY",
    "XDG_RUNTIME_DIR",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_STEP",
    "SLURM_ARRAY_TASK_COUNT",
    "JOB_COMPLETION_INDEX",
];
