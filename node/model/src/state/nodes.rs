//! Nodes that make themselves known.

use std::sync::Arc;

use super::State;
use super::apply::check_limit;
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::membership::Member;
use crate::node::{Node, Resources};
use crate::task::Exit;
use crate::{AppId, NodeId, TaskId, limits};

impl State {
    /// Stores what the node says of itself. A new `boot_id` means that its tasks are gone: they end as lost.
    pub(super) fn register_node(&mut self, node: &Node) -> Result<Outcome, Reject> {
        check_node(node)?;
        if self.authority.is_some() {
            self.move_member(node)?;
        }
        let before = self.nodes.get(&node.id).cloned();
        let mut after = Node { joined_at: self.now, ..node.clone() };
        let mut rebooted = false;
        match &before {
            None => check_limit(self.nodes.len() + 1, limits::NODES_MAX, "nodes")?,
            Some(old) => {
                after.joined_at = old.joined_at;
                rebooted = old.boot_id != node.boot_id;
                if !rebooted {
                    // A node cannot offer less than its tasks already hold; the next registration tries again.
                    after.resources = at_least(node.resources, self.used_on(node.id));
                }
            }
        }
        after = self.as_known(after);
        if before.as_deref() == Some(&after) {
            return Ok(Outcome::Done);
        }
        self.nodes.insert(node.id, Arc::new(after));
        self.emit(EventKind::NodeRegistered { node: node.id, rebooted });
        if rebooted {
            for (app, task) in self.tasks_on(node.id) {
                self.end_task(&app, &task, &Exit::Unknown, "the node restarted");
            }
        }
        Ok(Outcome::Done)
    }

    /// Only members register; where they are now is where others look for them.
    fn move_member(&mut self, node: &Node) -> Result<(), Reject> {
        let Some(member) = self.members.get(&node.id) else {
            return Err(Reject::NodeUnknown { node: node.id });
        };
        if !node.addresses.is_empty() && member.addresses != node.addresses {
            let moved = Member { addresses: node.addresses.clone(), ..(**member).clone() };
            self.members.insert(node.id, Arc::new(moved));
        }
        Ok(())
    }

    /// Live tasks of `node`, by app and id.
    pub(super) fn tasks_on(&self, node: NodeId) -> Vec<(AppId, TaskId)> {
        let of_app = |(id, app): (&AppId, &Arc<super::App>)| {
            let here = app.tasks.values().filter(|task| task.node == node);
            here.map(|task| (id.clone(), task.id.clone())).collect::<Vec<_>>()
        };
        self.apps.iter().flat_map(of_app).collect()
    }

    /// What the live tasks of `node` hold.
    fn used_on(&self, node: NodeId) -> Resources {
        let live = self.apps.values().flat_map(|app| app.tasks.values().map(move |task| (app, task)));
        live.filter(|(_, task)| task.node == node)
            .fold(Resources::default(), |sum, (app, task)| sum + app.resources_of(task))
    }
}

fn check_node(node: &Node) -> Result<(), Reject> {
    let invalid = |path: &str, message: &str| {
        Err(Reject::Invalid { path: path.to_owned(), message: message.to_owned() })
    };
    if node.host_ports.0 == 0 || node.host_ports.0 > node.host_ports.1 {
        return invalid("/host_ports", "the first port must be at least 1 and not above the last");
    }
    let texts = [&node.name, &node.product_version, &node.boot_id];
    let too_long = |text: &str| text.len() > limits::NODE_TEXT_BYTES_MAX;
    if texts.iter().any(|text| too_long(text))
        || node.attributes.iter().any(|(key, value)| too_long(key) || too_long(value))
    {
        return invalid("/", "a name, version or attribute is longer than 255 bytes");
    }
    check_limit(node.attributes.len(), limits::NODE_ATTRIBUTES_MAX, "attributes of a node")?;
    check_limit(node.addresses.len(), limits::NODE_ADDRESSES_MAX, "addresses of a node")
}

fn at_least(offered: Resources, used: Resources) -> Resources {
    Resources {
        cpu_milli: offered.cpu_milli.max(used.cpu_milli),
        mem_mib: offered.mem_mib.max(used.mem_mib),
        disk_mib: offered.disk_mib.max(used.disk_mib),
    }
}
