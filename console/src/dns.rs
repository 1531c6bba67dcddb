//! What a node tells of its DNS server.

use std::sync::Arc;

use model::zone::{self, Zone};
use model::{NodeId, State};

#[derive(Debug, Clone)]
pub struct DnsStatus {
    /// Never behind the state of the same backend.
    pub zone: Arc<Zone>,
    /// Where it answers; empty while it does not.
    pub address: String,
    /// Why it does not; empty if it does, or has not tried yet.
    pub fault: String,
    /// Whom it asks for other names.
    pub upstreams: Vec<String>,
    /// Whose questions for other names it forwards, beside those of the node and its tasks.
    pub networks: Vec<String>,
}

impl DnsStatus {
    /// The names of a state, by a server that is not there.
    pub fn of(state: &State, node: NodeId) -> Self {
        let view = zone::View { node, leader: Some(node) };
        Self {
            zone: Arc::new(zone::records(state, view, Arc::default())),
            address: String::new(),
            fault: String::new(),
            upstreams: Vec::new(),
            networks: Vec::new(),
        }
    }
}
