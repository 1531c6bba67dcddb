//! Says in a sentence why an app's instances have no place, so that nobody has to guess.

use std::collections::BTreeMap;

use super::place::Refusal;
use super::ports::NoPort;
use crate::AppId;
use crate::app::{AppSpec, Constraint};

/// One sentence for all nodes that refused, the most frequent reason first.
pub(super) fn sentence(spec: &AppSpec, id: &AppId, refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return "the cluster has no node yet".to_owned();
    }
    let mut groups: BTreeMap<Reason, Vec<&Refusal>> = BTreeMap::new();
    for refusal in refusals {
        groups.entry(reason(spec, refusal)).or_default().push(refusal);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, refused)| std::cmp::Reverse(refused.len()));
    let parts: Vec<String> =
        groups.iter().map(|(reason, refused)| part(spec, id, *reason, refused)).collect();
    parts.join("; ")
}

/// Refusals that are told together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Lost,
    Cordoned,
    Leaving,
    Role,
    Gpus,
    Constraint(usize),
    Cpu,
    Memory,
    Disk,
    PortTaken(u16),
    PortsExhausted,
}

fn reason(spec: &AppSpec, refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::Lost => Reason::Lost,
        Refusal::Cordoned => Reason::Cordoned,
        Refusal::Leaving => Reason::Leaving,
        Refusal::Role => Reason::Role,
        Refusal::Gpus => Reason::Gpus,
        Refusal::Constraint(number) => Reason::Constraint(*number),
        Refusal::Resources(free) if free.cpu_milli < spec.resources.cpu_milli => Reason::Cpu,
        Refusal::Resources(free) if free.mem_mib < spec.resources.mem_mib => Reason::Memory,
        Refusal::Resources(_) => Reason::Disk,
        Refusal::Port(NoPort::Taken { port, .. }) => Reason::PortTaken(*port),
        Refusal::Port(NoPort::Exhausted) => Reason::PortsExhausted,
    }
}

fn part(spec: &AppSpec, id: &AppId, reason: Reason, refused: &[&Refusal]) -> String {
    let nodes = nodes(refused.len());
    let most = |amount: fn(&crate::node::Resources) -> u64| {
        let free = refused.iter().filter_map(|refusal| match refusal {
            Refusal::Resources(free) => Some(amount(free)),
            _ => None,
        });
        free.max().unwrap_or(0)
    };
    match reason {
        Reason::Lost => format!("{nodes} do{} not answer", if refused.len() == 1 { "es" } else { "" }),
        Reason::Cordoned => {
            format!("{nodes} take{} no new tasks: cordoned or draining", third_person(refused.len()))
        }
        Reason::Leaving => format!("a task of it is to leave {nodes}"),
        Reason::Role => format!(
            "accepts only resources of role {}; {nodes} offer{} only role *",
            spec.accepted_resource_roles.as_deref().unwrap_or_default().join(", "),
            third_person(refused.len()),
        ),
        Reason::Gpus => format!("needs {} GPU; {nodes} offer{} none", spec.gpus, third_person(refused.len())),
        Reason::Constraint(number) => {
            let text = spec.constraints.get(number).map(constraint_text).unwrap_or_default();
            format!("constraint {text} excludes {nodes}")
        }
        Reason::Cpu => format!(
            "needs {} cpus; the most any of {nodes} has free is {}",
            cpus(spec.resources.cpu_milli),
            cpus(most(|free| free.cpu_milli)),
        ),
        Reason::Memory => format!(
            "needs {} MiB of memory; the most any of {nodes} has free is {} MiB",
            spec.resources.mem_mib,
            most(|free| free.mem_mib),
        ),
        Reason::Disk => format!(
            "needs {} MiB of disk; the most any of {nodes} has free is {} MiB",
            spec.resources.disk_mib,
            most(|free| free.disk_mib),
        ),
        Reason::PortTaken(port) => port_taken(id, port, refused),
        Reason::PortsExhausted => format!("no free host port in the range of {nodes}"),
    }
}

/// Names the holder; a holder of the same app is the trap of a fixed port and an update that keeps the old task.
fn port_taken(id: &AppId, port: u16, refused: &[&Refusal]) -> String {
    let nodes = nodes(refused.len());
    let holder = refused.iter().find_map(|refusal| match refusal {
        Refusal::Port(NoPort::Taken { holder, .. }) => holder.as_ref(),
        _ => None,
    });
    let Some(holder) = holder else {
        return format!("asks for host port {port} more than once");
    };
    let is_own = holder.as_str().starts_with(&format!("{}.", id.flat()));
    let advice = if is_own {
        ", an instance of this app: each needs a node of its own, \
         or upgradeStrategy.minimumHealthCapacity 0 to stop the old one first"
    } else {
        ""
    };
    format!("host port {port} is taken on {nodes} by task {holder}{advice}")
}

fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

fn third_person(count: usize) -> &'static str {
    if count == 1 { "s" } else { "" }
}

/// Milli-cpus as people write cpus: `1500` is `1.5`.
fn cpus(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn constraint_text(constraint: &Constraint) -> String {
    let operator = serde_json::to_value(constraint.operator).ok();
    let operator = operator.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    let value = constraint.value.as_deref().unwrap_or_default();
    format!("{} {operator} {value}", constraint.field).trim_end().to_owned()
}
