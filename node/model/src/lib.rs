//! The cluster as a value.
//!
//! Everything the cluster agrees on lives in [`State`]; the only way to change it is [`State::apply`] with a
//! committed [`Envelope`]. All decisions (what to launch, kill, replace) are pure functions of a `State` and a time.
//! This crate never reads a clock, draws a random number, opens a file or spawns anything: times and ids come in
//! with commands, so every server computes the same state from the same log.

pub mod app;
pub mod auth;
pub mod backup;
pub mod balancer;
pub mod command;
pub mod deploy;
pub mod desired;
pub mod event;
pub mod health;
pub mod ids;
pub mod lease;
pub mod limits;
pub mod losses;
pub mod membership;
pub mod node;
#[cfg(test)]
mod properties;
pub mod rebalance;
pub mod schedule;
pub mod servers;
pub mod settings;
pub mod state;
pub mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod zone;

pub use command::{Applied, Command, Envelope, Origin, Outcome, Reject};
pub use ids::{AppId, ClusterId, DeploymentId, NodeId, TaskId};
pub use state::State;
pub use time::Timestamp;
