//! The web console: server-rendered pages whose every action is a form. Sees a [`Backend`], never the node.

mod backend;

pub use backend::*;

/// Set on every request by the listener that took it: did it come through TLS?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViaTls(pub bool);
