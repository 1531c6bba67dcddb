//! The planner with a state beneath it.

mod placing;
mod rolling;
mod stale;

use std::collections::BTreeMap;

use crate::app::{Constraint, ConstraintOperator as Operator};
use crate::command::Command;
use crate::testing::{self, Lab};
use crate::{AppId, NodeId};

fn app_id(id: &str) -> AppId {
    AppId::parse(id).expect("a valid app id")
}

/// A claimed cluster of `count` nodes; `attributes` of node i from `of(i)`.
fn lab_of(count: u64, of: impl Fn(u64) -> Vec<(&'static str, String)>) -> Lab {
    let mut lab = Lab::empty();
    lab.must(testing::claim());
    for id in 1..=count {
        let mut node = testing::node(id);
        node.attributes = of(id).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        lab.must(Command::RegisterNode { node });
    }
    lab
}

fn constraint(field: &str, operator: Operator, value: Option<&str>) -> Constraint {
    Constraint { field: field.to_owned(), operator, value: value.map(str::to_owned) }
}

/// Tasks per node.
fn spread(lab: &Lab) -> Vec<usize> {
    let mut counts: BTreeMap<NodeId, usize> = lab.state.nodes.keys().map(|id| (*id, 0)).collect();
    for task in lab.tasks() {
        *counts.entry(task.node).or_default() += 1;
    }
    counts.into_values().collect()
}
