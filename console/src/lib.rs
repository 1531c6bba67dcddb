//! The web console: server-rendered pages whose every action is a form. Sees a [`Backend`], never the node.

mod backend;

pub use backend::*;
