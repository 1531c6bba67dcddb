//! What pages show: plain values made from one state, ready for a template. Pure; no request, no backend.

pub mod ansi;
pub mod app;
pub mod apps;
pub mod balancer;
pub mod details;
pub mod diff;
pub mod dns;
pub mod event;
pub mod log;
pub mod machine;
pub mod node;
pub mod preview;
pub mod search;
pub mod status;
pub mod task;
pub mod words;
