//! Several virtual machines at once: what only several whole machines can show.
#![allow(clippy::unwrap_used, reason = "all of it is tests; clippy only knows functions marked #[test]")]

mod cluster;
