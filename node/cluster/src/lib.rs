//! The replicated log, fenced in: the only crate that knows openraft and `raft.db`.
//!
//! The rest of the program sees a [`Cluster`]: the latest applied `State`, a watch on it, `propose` and `read`. No
//! type of openraft appears in this interface, so that a move to its next version ends here.
//!
//! `cluster` is the handle; `storage` opens the state folder; `machine` applies; `log_store` and `snapshot` keep;
//! `observer` watches; `network` will connect; `clock` tells the time and `space` what is left of the disk.

mod clock;
mod cluster;
mod codec;
mod config;
mod error;
mod log_store;
mod machine;
mod network;
mod observer;
mod snapshot;
mod space;
mod storage;
mod types;

pub use cluster::{COMMAND_BYTES_MAX, Cluster, Metrics, Proposal};
pub use config::{Config, Timers};
pub use error::{Failure, OpenError, ProposeError, ReadError};
pub use observer::Leadership;

#[cfg(test)]
mod tests;
