//! A real node off the image, through its front door: real init, real log, real containers.
//!
//! Every test has a node of its own, and when it ends counts what the node left on the machine: nothing.

#![allow(clippy::unwrap_used, reason = "all of it is tests; clippy only knows functions marked #[test]")]

mod article;
mod balancer;
mod balancer_faults;
mod bridge;
mod changes;
mod faults;
mod full_state;
mod health;
mod images;
mod inspect;
mod life;
mod names;
mod network;
mod offsite;
mod output;
mod power;
mod refusals;
mod restore;
