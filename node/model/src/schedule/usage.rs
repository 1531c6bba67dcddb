//! What is left on each node beneath the live tasks.

use std::collections::BTreeMap;

use crate::node::Resources;
use crate::task::Task;
use crate::{NodeId, State, TaskId};

/// Free amounts and taken host ports, per node. Made from a state, then followed through one plan.
#[derive(Debug, Clone, Default)]
pub struct Usage(BTreeMap<NodeId, NodeUsage>);

#[derive(Debug, Clone, Default)]
pub struct NodeUsage {
    pub free: Resources,
    /// Taken host ports and their holders.
    pub ports: BTreeMap<u16, TaskId>,
}

impl Usage {
    /// Walks all live tasks once.
    pub fn of(state: &State) -> Self {
        let empty = |resources| NodeUsage { free: resources, ports: BTreeMap::new() };
        let mut usage = Self(state.nodes.iter().map(|(id, node)| (*id, empty(node.resources))).collect());
        for app in state.apps.values() {
            for task in app.tasks.values() {
                usage.take(task.node, &app.resources_of(task), task);
            }
        }
        usage
    }

    pub fn node(&self, id: NodeId) -> Option<&NodeUsage> {
        self.0.get(&id)
    }

    /// Books `task`, which holds `resources`, on `node`.
    pub fn take(&mut self, node: NodeId, resources: &Resources, task: &Task) {
        self.book(node, resources, &task.ports, &task.id);
    }

    pub(super) fn book(&mut self, node: NodeId, resources: &Resources, ports: &[u16], task: &TaskId) {
        let Some(node) = self.0.get_mut(&node) else { return };
        node.free = node.free.saturating_sub(resources);
        node.ports.extend(ports.iter().filter(|port| **port != 0).map(|port| (*port, task.clone())));
    }
}
