//! Nodes among themselves: mutual TLS on port 7300, joining by token, and the questions of consensus.
//!
//! Each node has a key of its own (`key`), which it changes now and then (`credentials`). The cluster has an authority,
//! kept in its state, so that every member can admit a node and certify its own next key (`authority`). Who a connection comes from is the name in a
//! certificate of that authority (`tls`); what has no certificate may only ask to be let in (`join`);
//! an unclaimed one is taken in by the code on its screen (`adoption`).
//! Connections are made (`connection`) when they are needed and kept (`ways`); the `wire` is what consensus asks by.
//! What a task's own node must answer is handed on to it (`relay`). Who votes has connections to the others `ready`.

pub mod adoption;
pub mod authority;
mod connection;
pub mod credentials;
pub mod join;
pub mod key;
pub mod listen;
pub mod membership;
pub mod ready;
pub mod relay;
pub mod tls;
pub mod token;
mod ways;
pub mod wire;

use model::{NodeId, Timestamp};

/// Bytes of one question, its answer, or a snapshot: far above what a batch of entries can be.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The name that every member answers to, for those who do not know yet whom they reach.
pub const ANY_MEMBER: &str = "member.meseta";

/// The name of one node in its certificate.
pub fn name(node: NodeId) -> String {
    format!("{node}.node.meseta")
}

/// The node of a [`name`].
pub fn node_of(name: &str) -> Option<NodeId> {
    let hex = name.strip_suffix(".node.meseta")?.strip_prefix('n')?;
    (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok()).flatten().map(NodeId)
}

/// The name in a certificate that says since when, in milliseconds of cluster time, its key is the node's.
pub fn since_name(since: Timestamp) -> String {
    format!("{:016x}.since.meseta", since.0)
}

/// What a [`since_name`] says.
pub fn since_of(name: &str) -> Option<Timestamp> {
    let hex = name.strip_suffix(".since.meseta")?;
    (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok()).flatten().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_node() {
        for id in [0, 7, u64::MAX] {
            assert_eq!(node_of(&name(NodeId(id))), Some(NodeId(id)));
            assert_eq!(since_of(&since_name(Timestamp(id))), Some(Timestamp(id)));
        }
        for odd in ["", "n7.node.meseta", "member.meseta", "n000000000000000g.node.meseta"] {
            assert_eq!(node_of(odd), None, "{odd}");
            assert_eq!(since_of(odd), None, "{odd}");
        }
    }
}
