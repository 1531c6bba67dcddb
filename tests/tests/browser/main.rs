//! The console as a person meets it: a real node, a real browser, the article's first app from claim to live output.

#![allow(clippy::unwrap_used, reason = "all of it is tests; clippy only knows functions marked #[test]")]

mod balancer;
mod compose;
mod first_app;
mod inside;
mod keyboard;
mod live;
mod looks;
mod mistakes;
mod nodes;
mod person;
mod walk;
