//! Rules of the tree that no compiler checks: directions, purity, clocks, sizes, leftovers of unfinished work.
//!
//! Looks at what git knows and at new files it does not ignore; never writes.

#![allow(clippy::unwrap_used, reason = "all of it is tests; clippy only knows functions marked #[test]")]

mod crates;
mod house;
mod sources;
mod tree;
