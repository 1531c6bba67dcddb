//! Finds a node for each new task of one app.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::constraints::Constraints;
use super::ports::{self, NoPort};
use super::{NodeUsage, Usage};
use crate::app::AppSpec;
use crate::command::Action;
use crate::ids::IdSource;
use crate::node::{Node, Resources};
use crate::state::App;
use crate::task::Task;
use crate::{NodeId, State, TaskId};

/// The first thing on a node that kept a task off it, in Mesos' order of questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not answer.
    Lost,
    /// The operator lets it take no tasks.
    Cordoned,
    /// A task of the app is to leave it.
    Leaving,
    /// Nodes offer only the role `*`, and the app does not accept that.
    Role,
    Gpus,
    /// Number of the constraint.
    Constraint(usize),
    /// What is free there.
    Resources(Resources),
    Port(NoPort),
}

/// One round of placing tasks of one app.
pub(super) struct Placing<'a> {
    state: &'a State,
    spec: &'a AppSpec,
    usage: &'a mut Usage,
    constraints: Constraints,
    /// Live and newly placed tasks of this app per node.
    counts: BTreeMap<NodeId, u32>,
    /// Nodes that a task of this app is to leave.
    left: BTreeSet<NodeId>,
}

impl<'a> Placing<'a> {
    pub(super) fn new(state: &'a State, app: &'a App, usage: &'a mut Usage) -> Self {
        let mut placing = Self {
            state,
            spec: &app.spec,
            usage,
            constraints: Constraints::of(&app.spec),
            counts: BTreeMap::new(),
            left: app.tasks.values().filter(|task| task.displaced).map(|task| task.node).collect(),
        };
        let mut live: Vec<&Arc<Task>> = app.tasks.values().collect();
        live.sort_by(|a, b| (a.staged_at, &a.id).cmp(&(b.staged_at, &b.id)));
        live.into_iter().for_each(|task| placing.count(task.node));
        placing
    }

    /// Puts one task on the node that has the fewest of this app, then the most free; `Err`: why each node refused.
    pub(super) fn place_one(&mut self, ids: &mut IdSource) -> Result<Action, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut best: Option<(Rank, NodeId)> = None;
        for (id, node) in &self.state.nodes {
            let Some(left) = self.usage.node(*id) else { continue };
            if let Err(refusal) = self.is_open(*id).and_then(|()| self.admits(node, left)) {
                refusals.push(refusal);
                continue;
            }
            let rank = self.rank(node, left);
            if best.as_ref().is_none_or(|(lowest, _)| rank < *lowest) {
                best = Some((rank, *id));
            }
        }
        let chosen = best.and_then(|(_, id)| Some((self.state.nodes.get(&id)?, self.usage.node(id)?)));
        let Some((node, left)) = chosen else { return Err(refusals) };
        let given =
            ports::choose(self.spec, node, left, ids).map_err(|refusal| vec![Refusal::Port(refusal)])?;
        Ok(self.take(node.id, given, ids))
    }

    fn take(&mut self, node: NodeId, ports: Vec<u16>, ids: &mut IdSource) -> Action {
        let task = TaskId::new(&self.spec.id, ids.draw_u128(), 1);
        self.usage.book(node, &self.spec.resources, &ports, &task);
        self.count(node);
        Action::Launch { app: self.spec.id.clone(), version: self.spec.version, task, node, ports }
    }

    fn count(&mut self, node: NodeId) {
        *self.counts.entry(node).or_default() += 1;
        if let Some(node) = self.state.nodes.get(&node) {
            self.constraints.placed(node);
        }
    }

    fn is_open(&self, node: NodeId) -> Result<(), Refusal> {
        let member = self.state.members.get(&node);
        match member {
            Some(member) if member.lost_since.is_some() => Err(Refusal::Lost),
            Some(member) if !member.availability.is_active() => Err(Refusal::Cordoned),
            _ if self.left.contains(&node) => Err(Refusal::Leaving),
            _ => Ok(()),
        }
    }

    fn admits(&self, node: &Node, left: &NodeUsage) -> Result<(), Refusal> {
        let roles = self.spec.accepted_resource_roles.as_ref();
        if roles.is_some_and(|roles| !roles.iter().any(|role| role == "*")) {
            return Err(Refusal::Role);
        }
        if self.spec.gpus > 0 {
            return Err(Refusal::Gpus);
        }
        self.constraints.check(node).map_err(Refusal::Constraint)?;
        if !left.free.covers(&self.spec.resources) {
            return Err(Refusal::Resources(left.free));
        }
        ports::available(self.spec, node, left).map_err(Refusal::Port)
    }

    /// Lower is better; `NodeId` order settles ties.
    fn rank(&self, node: &Node, left: &NodeUsage) -> Rank {
        let used = |free: u64, all: u64| 1_000_000 - free.saturating_mul(1_000_000) / all.max(1);
        let cpu = used(left.free.cpu_milli, node.resources.cpu_milli);
        let mem = used(left.free.mem_mib, node.resources.mem_mib);
        Rank { of_this_app: self.counts.get(&node.id).copied().unwrap_or(0), used: cpu + mem }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    of_this_app: u32,
    /// Used cpu and memory, each in millionths of the node's.
    used: u64,
}
