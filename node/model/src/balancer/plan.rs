//! What separates a running HAProxy from the services it is to offer: orders for its runtime socket, and a reload
//! only where its structure differs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::render::{Seats, render, slot_name};
use super::{Server, Service, Services, Settings};
use crate::TaskId;

/// What a running HAProxy says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// The structure it was made from.
    pub structure: String,
    pub backends: BTreeMap<String, Vec<Slot>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub address: IpAddr,
    pub port: u16,
    pub state: SlotState,
    /// HAProxy takes it for well: by its checks, or because it has none.
    pub well: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Takes requests, as far as its health allows.
    Ready,
    /// Ends what it has.
    Drain,
    /// Empty.
    Maintenance,
}

/// The way from what runs to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Names everything in the text but the slots' contents.
    pub structure: String,
    pub text: String,
    /// The running structure is another one: the text has to be loaded.
    pub reload: bool,
    /// What brings the slots that run now to the state of `seats`.
    pub orders: Vec<Order>,
    pub seats: Seats,
    /// Tasks that are to end and go on getting requests until another one of their service is well.
    pub kept: Vec<TaskId>,
}

/// A change of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub backend: String,
    pub slot: String,
    pub change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `checked`: it gets requests only once HAProxy has found it well.
    Fill {
        address: IpAddr,
        port: u16,
        checked: bool,
    },
    Ready,
    Drain,
    Empty,
}

impl Order {
    /// Commands for the runtime socket, in order; a good answer to each begins with nothing or with what changed.
    pub fn commands(&self) -> Vec<String> {
        let of = |what: &str| format!("set server {}/{} {what}", self.backend, self.slot);
        match self.change {
            Change::Fill { address, port, checked } => {
                let place = of(&format!("addr {address} port {port}"));
                // From maintenance straight to ready a server counts as well until a check says otherwise; by way of
                // draining it can be called unwell first.
                let checks = [of("state drain"), of("health down")];
                let checks = checks.into_iter().filter(|_| checked);
                [of("state maint"), place].into_iter().chain(checks).chain([of("state ready")]).collect()
            }
            Change::Ready => vec![of("state ready")],
            Change::Drain => vec![of("state drain")],
            Change::Empty => vec![of("state maint")],
        }
    }
}

/// `running` is `None` while no HAProxy answers.
pub fn plan(services: &Services, settings: &Settings, running: Option<&Running>) -> Plan {
    let mut seats = Seats::new();
    let mut orders = Vec::new();
    let mut kept = Vec::new();
    for service in &services.list {
        let slots = running.and_then(|r| r.backends.get(&service.name)).map_or(&[][..], Vec::as_slice);
        let row = seat(service, slots);
        let is_kept = must_keep(&row, slots);
        let goes_on =
            |slot: &Slot, server: &Server| is_kept && server.draining && slot.state == SlotState::Ready;
        for (at, (seat, slot)) in row.iter().zip(slots).enumerate() {
            if let Some(server) = seat.as_ref().filter(|server| goes_on(slot, server)) {
                kept.push(server.task.clone());
            } else if let Some(change) = change(seat.as_ref(), slot, service.check.is_some()) {
                orders.push(Order { backend: service.name.clone(), slot: slot_name(at), change });
            }
        }
        seats.insert(service.name.clone(), row);
    }
    // Back ends of apps that are gone lose their servers at once, the reload that removes them may wait.
    let gone = running.iter().flat_map(|r| &r.backends).filter(|(name, _)| !seats.contains_key(*name));
    for (backend, slots) in gone {
        let used = slots.iter().enumerate().filter(|(_, slot)| slot.state != SlotState::Maintenance);
        orders.extend(used.map(|(at, _)| Order {
            backend: backend.clone(),
            slot: slot_name(at),
            change: Change::Empty,
        }));
    }
    let empty = seats.iter().map(|(name, row)| (name.clone(), vec![None; row.len()])).collect();
    let structure = name_of(&render(services, settings, &empty, ""));
    let text = render(services, settings, &seats, &structure);
    let reload = running.is_none_or(|running| running.structure != structure);
    Plan { structure, text, reload, orders, seats, kept }
}

fn name_of(skeleton: &str) -> String {
    let digest = Sha256::digest(skeleton);
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// Gives each server a slot: the one it has, else the first that is free. A draining server without a slot gets none.
fn seat(service: &Service, slots: &[Slot]) -> Vec<Option<Server>> {
    let mut row: Vec<Option<Server>> = vec![None; slots_wanted(service, slots.len())];
    let mut waiting = Vec::new();
    for server in &service.servers {
        let has = |slot: &Slot| {
            slot.state != SlotState::Maintenance && (slot.address, slot.port) == (server.address, server.port)
        };
        match slots.iter().position(has).filter(|at| *at < row.len()) {
            Some(at) => row[at] = Some(server.clone()),
            None => waiting.push(server),
        }
    }
    // Slots that something still drains from are taken last.
    let is_idle = |at: &usize| slots.get(*at).is_none_or(|slot| slot.state == SlotState::Maintenance);
    let taken: BTreeSet<usize> = (0..row.len()).filter(|at| row[*at].is_some()).collect();
    let free = || (0..row.len()).filter(|at| !taken.contains(at));
    let order: Vec<usize> = free().filter(is_idle).chain(free().filter(|at| !is_idle(at))).collect();
    for (server, at) in waiting.into_iter().filter(|server| !server.draining).zip(order) {
        row[at] = Some(server.clone());
    }
    row
}

/// Whether the servers that are to end must stay until their successors are well: there are successors, and none is.
fn must_keep(row: &[Option<Server>], slots: &[Slot]) -> bool {
    let stays =
        |(at, seat): (usize, &Option<Server>)| seat.as_ref().is_some_and(|s| !s.draining).then_some(at);
    let mut staying = row.iter().enumerate().filter_map(stays).peekable();
    let is_well = |at: usize| {
        let (server, slot) = (row[at].as_ref(), slots.get(at));
        server.zip(slot).is_some_and(|(server, slot)| {
            slot.state == SlotState::Ready
                && slot.well
                && (slot.address, slot.port) == (server.address, server.port)
        })
    };
    staying.peek().is_some() && !staying.any(is_well)
}

/// Room for twice the instances, so that a rolling upgrade fits. What runs is kept while it is enough and not far
/// too much: another number of slots is another structure.
fn slots_wanted(service: &Service, running: usize) -> usize {
    const SLOTS_MIN: usize = 8;
    let needed = service.servers.len().max(service.instances.min(super::services::SERVERS_MAX));
    let comfortable = (needed * 2).next_power_of_two().max(SLOTS_MIN);
    if running > needed && running <= comfortable * 4 { running } else { comfortable }
}

fn change(seat: Option<&Server>, slot: &Slot, checked: bool) -> Option<Change> {
    let Some(server) = seat else {
        return (slot.state != SlotState::Maintenance).then_some(Change::Empty);
    };
    let has_it = (slot.address, slot.port) == (server.address, server.port);
    match (slot.state, has_it, server.draining) {
        (SlotState::Ready, true, false) | (SlotState::Drain, true, true) => None,
        (SlotState::Ready, true, true) => Some(Change::Drain),
        (SlotState::Drain, true, false) => Some(Change::Ready),
        _ => Some(Change::Fill { address: server.address, port: server.port, checked }),
    }
}
