//! The image in a virtual machine: what only a whole machine can show.
#![allow(clippy::unwrap_used, reason = "all of it is tests; clippy only knows functions marked #[test]")]

mod article;
mod bridge;
mod cuts;
mod disk;
mod host;
mod machine;
mod power;
mod slots;
mod watchdog;
