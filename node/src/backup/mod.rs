//! A cluster's state as one file that outlives the cluster.
//!
//! `file` is its form, pure: a state in, bytes out, and back; `seal` locks the bytes under a passphrase. Who makes and
//! who takes in such a file is the agent's matter.

pub mod file;
pub mod seal;
#[cfg(test)]
mod tests;
