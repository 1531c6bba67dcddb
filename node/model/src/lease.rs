//! How long a node may run exclusive tasks without hearing from the cluster, and when others may take them over.
//!
//! A node looks at its own clock, then reads the state freshly (ReadIndex: a majority confirms the leader after the
//! question was asked). If that state has the node as a member that answers, it holds the lease until [`LEASE_MS`]
//! after its look; its init kills exclusive tasks at that moment unless the deadline was moved on before. A node that
//! is lost gets no further lease, because the state says so. So no lease ends later than [`LEASE_MS`] after the loss
//! was committed, whoever led then, and a leader that has waited [`FENCE_WAIT_MS`] since it saw the loss knows that
//! nothing exclusive runs there any more. Only the speed of clocks counts, never what they show.
//!
//! A machine that is frozen whole, its clock too, and resumed later defeats every lease; what the task writes to can
//! refuse it by `MESETA_EPOCH`, which grows with every launch.

/// A majority that is silent for this long costs a node its exclusive tasks. Long enough for elections and slow disks.
pub const LEASE_MS: u64 = 10_000;
/// Between two looks of a node that runs exclusive tasks.
pub const RENEW_MS: u64 = 2_500;
/// Two clocks that differ by 5 % in speed are broken.
const DRIFT_PERCENT: u64 = 5;
/// From the deadline until the last process is dead: init's wake-up and the kernel's work on a busy machine.
const KILL_MS_MAX: u64 = 2_000;
/// From the moment a leader sees a loss until the node's exclusive tasks may run elsewhere.
pub const FENCE_WAIT_MS: u64 = LEASE_MS + LEASE_MS * DRIFT_PERCENT / 100 + KILL_MS_MAX;
