//! The handlers: one file a page, reading the request, asking `view`, filling a template of the same name.

pub mod app;
pub mod apps;
pub mod authority;
pub mod balancer;
pub mod claim;
pub mod compose;
pub mod confirm;
pub mod dns;
pub mod events;
pub mod help;
pub mod log;
pub mod login;
pub mod machine;
pub mod node;
mod node_change;
pub mod nodes;
pub mod output;
mod rebalance;
mod recover;
pub mod restore;
pub mod review;
pub mod sandbox;
pub mod schedule;
pub mod search;
pub mod settings;
pub mod task;
pub mod versions;
