//! The image as files: what can be said of it without booting it.
#![allow(clippy::unwrap_used, reason = "all of it is tests; clippy only knows functions marked #[test]")]

mod disk;
mod kernel_initrd;
