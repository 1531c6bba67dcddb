//! The replicated log, fenced in: the only crate that knows openraft and `raft.db`.
//!
//! The rest of the program sees a [`Cluster`]: the latest applied [`State`], a watch on it, and `propose`.
