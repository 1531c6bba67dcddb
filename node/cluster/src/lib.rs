//! The replicated log, fenced in: the only crate that knows openraft and `raft.db`.
//!
//! The rest of the program sees a [`Cluster`]: the latest applied `State`, a watch on it, `propose` and `read`. No
//! type of openraft appears in this interface, so that a move to its next version ends here.
//!
//! `cluster` is the handle; `propose` and `read` work from any server, `membership` says who takes part; `storage` opens
//! the state folder, `recovery` does there what was ordered for a node whose majority is lost; `machine` applies; `log_store`
//! and `snapshot` keep; `observer` watches; `network` asks other servers over a `wire` that the caller brings (`notices`: when they
//! hear of commits), `answer` is its other end and `message` what passes; `stream` tells members without the log what happens, `worker` is such a
//! member, `absence` how a server learns that it has become one; `clock` tells the time and `space` what is left of the disk; `simulated` is the
//! same without threads, files and time.

mod absence;
mod answer;
mod clock;
mod cluster;
mod codec;
mod config;
mod error;
mod log_store;
mod machine;
mod membership;
mod message;
mod network;
mod notices;
mod observer;
mod propose;
mod read;
mod recovery;
#[cfg(feature = "simulation")]
pub mod simulated;
mod snapshot;
mod space;
mod storage;
mod stream;
mod types;
mod wire;
mod worker;

pub use cluster::{Assignment, Cluster, Metrics};
pub use config::{Config, Start, Timers};
pub use error::{Failure, MembershipError, OpenError, ProposeError, ReadError};
pub use membership::{Member, Progress};
pub use observer::Leadership;
pub use propose::{COMMAND_BYTES_MAX, Proposal};
pub use recovery::order as order_recovery;
pub use stream::OUT_OF_TOUCH_MS;
pub use wire::{Lane, NoWire, Target, Wire, WireError};

#[cfg(test)]
mod tests;
