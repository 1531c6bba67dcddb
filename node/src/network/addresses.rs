//! Which task has which address of the bridge's subnet. Pure: nothing is kept on disk but the bundles, which end with
//! their tasks, and from which a new agent learns what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::TaskId;

use super::subnet::Subnet;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    held: BTreeMap<TaskId, Ipv4Addr>,
    /// Number of the address that was given last: the next one follows it, so that an address that was just given
    /// back is not at once a stranger's.
    last: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {0} addresses of the bridge are in use")]
pub struct Exhausted(pub u32);

impl Addresses {
    pub fn restore(held: impl IntoIterator<Item = (TaskId, Ipv4Addr)>, subnet: Option<Subnet>) -> Self {
        let held: BTreeMap<TaskId, Ipv4Addr> = held.into_iter().collect();
        let numbers = subnet.into_iter().flat_map(|s| held.values().filter_map(move |a| s.task_number(*a)));
        let last = numbers.max();
        Self { held, last }
    }

    /// The task's address; a fresh one if it has none in `subnet`.
    pub fn give(&mut self, task: &TaskId, subnet: Subnet) -> Result<Ipv4Addr, Exhausted> {
        if let Some(address) = self.held.get(task).filter(|address| subnet.task_number(**address).is_some()) {
            return Ok(*address);
        }
        let taken: BTreeSet<Ipv4Addr> = self.held.values().copied().collect();
        let first = self.last.map_or(0, |last| last.wrapping_add(1));
        let numbers = (0..subnet.room()).map(|step| first.wrapping_add(step) % subnet.room());
        let free = numbers.map(|n| (n, subnet.task_address(n))).find(|(_, address)| !taken.contains(address));
        let (number, address) = free.ok_or(Exhausted(subnet.room()))?;
        self.last = Some(number);
        self.held.insert(task.clone(), address);
        Ok(address)
    }

    pub fn of(&self, task: &TaskId) -> Option<Ipv4Addr> {
        self.held.get(task).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TaskId, Ipv4Addr)> {
        self.held.iter().map(|(task, address)| (task, *address))
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Gives back the addresses of all tasks but those; true if there were any.
    pub fn retain(&mut self, keep: impl Fn(&TaskId) -> bool) -> bool {
        let before = self.held.len();
        self.held.retain(|task, _| keep(task));
        self.held.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u32) -> TaskId {
        TaskId::parse(&format!("a.instance-{number}._app.1")).expect("a task id")
    }

    #[test]
    fn addresses_are_given_once_kept_and_given_back() {
        let subnet: Subnet = "10.1.2.8/29".parse().expect("a subnet");
        let mut addresses = Addresses::default();
        let first = addresses.give(&task(1), subnet).expect("free");
        assert_eq!(first, Ipv4Addr::new(10, 1, 2, 10));
        assert_eq!(addresses.give(&task(1), subnet), Ok(first));
        // What was given back comes last.
        assert!(addresses.retain(|other| *other != task(1)));
        let rest: Vec<Ipv4Addr> = (2..7).map(|n| addresses.give(&task(n), subnet).expect("free")).collect();
        assert_eq!(rest.last(), Some(&first));
        let distinct: BTreeSet<&Ipv4Addr> = rest.iter().collect();
        assert_eq!(distinct.len(), 5);
        assert_eq!(addresses.give(&task(9), subnet), Err(Exhausted(5)));
        assert!(!addresses.retain(|_| true));
        assert!(addresses.retain(|other| *other == task(4)));
        assert!(addresses.give(&task(9), subnet).is_ok());
    }

    #[test]
    fn a_new_agent_goes_on_where_the_old_one_was() {
        let subnet: Subnet = "10.1.2.8/29".parse().expect("a subnet");
        let there = [(task(1), Ipv4Addr::new(10, 1, 2, 12)), (task(2), Ipv4Addr::new(10, 1, 2, 10))];
        let mut addresses = Addresses::restore(there, Some(subnet));
        assert_eq!(addresses.of(&task(1)), Some(Ipv4Addr::new(10, 1, 2, 12)));
        assert_eq!(addresses.give(&task(3), subnet), Ok(Ipv4Addr::new(10, 1, 2, 13)));
        // The subnet was changed: old addresses stay taken, new ones come from the new one.
        let other: Subnet = "10.9.0.0/24".parse().expect("a subnet");
        assert_eq!(addresses.give(&task(4), other).map(|a| other.task_number(a).is_some()), Ok(true));
    }
}
