//! What DNS says of the cluster, as a function of its state: A, AAAA and SRV records in the names of Mesos-DNS.
//!
//! [`records`] makes a zone from nothing, [`Zone::next`] from the one before: it looks only at what differs, so that
//! one task among thousands costs microseconds. Both give the same names, which a property test holds them to.
//! Answering is [`Zone::answer`]; packets are the node's business.

mod answer;
mod cluster;
pub mod label;
mod names;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

pub use answer::{Answer, Code, Kind, Record, RecordData, Soa};
use label::LabelRule;
pub use names::{Counted, Data, Entry, Names, Service};
use task::Publisher;

use crate::node::Node;
use crate::state::App;
use crate::{AppId, NodeId, State, Timestamp};

/// How the zone is made and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Lower case, without the dot at its end.
    pub domain: String,
    /// Time to live of every record: the zone follows each change at once, so only caches make it stale.
    pub ttl_s: u32,
    pub srv_weight: u16,
    /// Also publish tasks under their raw names, e.g. `app.group` beside `app-group`, as Mesos-DNS does.
    pub raw_names: bool,
    pub label_rule: LabelRule,
}

impl Default for Settings {
    fn default() -> Self {
        let label_rule = LabelRule::Rfc1123;
        Self { domain: "mesos".to_owned(), ttl_s: 5, srv_weight: 1, raw_names: true, label_rule }
    }
}

impl Settings {
    /// The server that SOA and NS name.
    pub fn server_name(&self) -> String {
        format!("ns1.{}", self.domain)
    }
}

/// What the answering node knows beside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    pub node: NodeId,
    /// The last leader heard of: without one its names stay where they were.
    pub leader: Option<NodeId>,
}

/// What made a zone differ from the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Cluster time of the state that brought it.
    pub at: Timestamp,
    pub added: usize,
    pub removed: usize,
    /// Apps whose tasks came or went: the first few.
    pub apps: Vec<AppId>,
    /// How many apps more than those.
    pub further_apps: usize,
    /// A node, an address or the leader changed.
    pub cluster: bool,
}

const APPS_NAMED_MAX: usize = 3;

/// Addresses by which each node is reached.
type Hosts = BTreeMap<NodeId, Vec<IpAddr>>;

#[derive(Debug, Clone)]
pub struct Zone {
    settings: Arc<Settings>,
    names: Names,
    serial: u32,
    change: Change,
    basis: Basis,
}

/// What the names were made of. Persistent maps: holding them costs nothing but what has changed since.
#[derive(Debug, Clone, Default)]
struct Basis {
    index: u64,
    apps: OrdMap<AppId, Arc<App>>,
    nodes: OrdMap<NodeId, Arc<Node>>,
    hosts: Arc<Hosts>,
    view: View,
}

/// The whole zone from nothing.
pub fn records(state: &State, view: View, settings: Arc<Settings>) -> Zone {
    let empty = Zone {
        settings,
        names: Names::default(),
        serial: 0,
        change: Change::default(),
        basis: Basis::default(),
    };
    empty.next(state, view)
}

impl Zone {
    /// The zone of a later state. Serial and last change stay if no record came or went.
    pub fn next(&self, state: &State, view: View) -> Self {
        let hosts = if self.basis.nodes.ptr_eq(&state.nodes) {
            self.basis.hosts.clone()
        } else {
            Arc::new(hosts(&state.nodes))
        };
        let basis =
            Basis { index: state.index, apps: state.apps.clone(), nodes: state.nodes.clone(), hosts, view };
        let mut next = Self { basis, ..self.clone() };
        let mut change = Change { at: state.now, ..Change::default() };
        let differences = self.differences(&next.basis, &mut change);
        // First what comes, then what goes: a record that stays is there all the time.
        for (name, data) in &differences.added {
            change.added += usize::from(next.names.add(name, data));
        }
        for (name, data) in &differences.removed {
            change.removed += usize::from(next.names.remove(name, data));
        }
        if change.added + change.removed > 0 {
            let unix_s = u32::try_from(state.now.0 / 1000).unwrap_or(u32::MAX);
            next.serial = unix_s.max(self.serial.wrapping_add(1));
            next.change = change;
        }
        next
    }

    fn differences(&self, to: &Basis, change: &mut Change) -> Differences {
        let (from, settings) = (&self.basis, &*self.settings);
        let mut found = Differences::default();
        if from.hosts != to.hosts || from.view != to.view {
            change.cluster = true;
            found.removed.extend(cluster::records(settings, &from.hosts, &from.view));
            found.added.extend(cluster::records(settings, &to.hosts, &to.view));
        }
        if from.hosts != to.hosts {
            found.removed.extend(all_tasks(settings, from));
            found.added.extend(all_tasks(settings, to));
            note_apps(change, from.apps.diff(&to.apps).map(app_of));
            return found;
        }
        let mut apps = Vec::new();
        for difference in from.apps.diff(&to.apps) {
            let before = found.added.len() + found.removed.len();
            match &difference {
                DiffItem::Add(_, app) => found.added.extend(tasks_of(settings, to, app)),
                DiffItem::Remove(_, app) => found.removed.extend(tasks_of(settings, from, app)),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    task_differences(settings, &to.hosts, old, new, &mut found);
                }
            }
            if found.added.len() + found.removed.len() > before {
                apps.push(app_of(difference));
            }
        }
        note_apps(change, apps.into_iter());
        found
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn serial(&self) -> u32 {
        self.serial
    }

    pub fn last_change(&self) -> &Change {
        &self.change
    }

    /// Log index of the state it was made of.
    pub fn index(&self) -> u64 {
        self.basis.index
    }

    /// The published tasks with their records, in order of app and id.
    pub fn by_task(&self) -> impl Iterator<Item = TaskRecords> + '_ {
        let publishers = self.basis.apps.values().map(|app| Arc::new(Publisher::new(app)));
        let tasks = publishers.flat_map(|publisher| {
            let tasks = publisher.app.tasks.values();
            tasks.map(move |task| (publisher.clone(), task))
        });
        tasks.filter_map(move |(publisher, task)| {
            let records = task::records(&self.settings, &self.basis.hosts, &publisher, task);
            let sayable = records.into_iter().filter(|(name, _)| label::is_sayable(name));
            let records: Vec<_> = sayable.map(|(name, data)| (name, self.data(&data))).collect();
            (!records.is_empty()).then(|| TaskRecords {
                name: task::discovery_name(&publisher.app.spec.id),
                id: task.id.to_string(),
                framework: task.framework.clone(),
                records,
            })
        })
    }

    pub fn view(&self) -> View {
        self.basis.view
    }

    /// By which the answering node is reached.
    pub fn own_addresses(&self) -> &[IpAddr] {
        self.basis.nodes.get(&self.basis.view.node).map_or(&[], |node| &node.addresses)
    }
}

/// One task of [`Zone::by_task`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecords {
    pub name: String,
    pub id: String,
    pub framework: String,
    pub records: Vec<(String, RecordData)>,
}

#[derive(Default)]
struct Differences {
    added: Vec<(String, Data)>,
    removed: Vec<(String, Data)>,
}

fn task_differences(settings: &Settings, hosts: &Hosts, old: &App, new: &App, found: &mut Differences) {
    let (old, new) = (Publisher::new(old), Publisher::new(new));
    if !old.is_alike(&new) {
        found.removed.extend(records_of(settings, hosts, old));
        found.added.extend(records_of(settings, hosts, new));
        return;
    }
    for difference in old.app.tasks.diff(&new.app.tasks) {
        match difference {
            DiffItem::Add(_, task) => found.added.extend(task::records(settings, hosts, &new, task)),
            DiffItem::Remove(_, task) => found.removed.extend(task::records(settings, hosts, &old, task)),
            DiffItem::Update { old: (_, before), new: (_, after) } => {
                let was = task::records(settings, hosts, &old, before);
                let is = task::records(settings, hosts, &new, after);
                if was != is {
                    found.removed.extend(was);
                    found.added.extend(is);
                }
            }
        }
    }
}

fn all_tasks<'a>(settings: &'a Settings, basis: &'a Basis) -> impl Iterator<Item = (String, Data)> + 'a {
    basis.apps.values().flat_map(move |app| tasks_of(settings, basis, app))
}

fn tasks_of<'a>(
    settings: &'a Settings,
    basis: &'a Basis,
    app: &'a App,
) -> impl Iterator<Item = (String, Data)> + 'a {
    records_of(settings, &basis.hosts, Publisher::new(app))
}

fn records_of<'a>(
    settings: &'a Settings,
    hosts: &'a Hosts,
    publisher: Publisher<'a>,
) -> impl Iterator<Item = (String, Data)> + 'a {
    let tasks = publisher.app.tasks.values();
    tasks.flat_map(move |task| task::records(settings, hosts, &publisher, task))
}

fn app_of(difference: DiffItem<'_, '_, AppId, Arc<App>>) -> AppId {
    match difference {
        DiffItem::Add(id, _) | DiffItem::Remove(id, _) | DiffItem::Update { new: (id, _), .. } => id.clone(),
    }
}

fn note_apps(change: &mut Change, mut apps: impl Iterator<Item = AppId>) {
    change.apps = apps.by_ref().take(APPS_NAMED_MAX).collect();
    change.further_apps = apps.count();
}

/// The first address of each family: further ones are of bridges and other networks of the node, where nobody else
/// reaches it.
fn hosts(nodes: &OrdMap<NodeId, Arc<Node>>) -> Hosts {
    let reached = |node: &Arc<Node>| {
        let first = |is_wanted: fn(&IpAddr) -> bool| node.addresses.iter().copied().find(is_wanted);
        first(IpAddr::is_ipv4).into_iter().chain(first(IpAddr::is_ipv6)).collect()
    };
    nodes.iter().map(|(id, node)| (*id, reached(node))).collect()
}
