//! What pages show: plain values made from one state, ready for a template. Pure; no request, no backend.

pub mod app;
pub mod apps;
pub mod balancer;
pub mod node;
pub mod status;
pub mod task;
pub mod words;
