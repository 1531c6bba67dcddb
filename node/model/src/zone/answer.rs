//! A question and its answer, still without a packet. Used by the server, the console's tester and the HTTP API.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::names::{Counted, Entry};
use super::{Data, Service, Zone};
use crate::ids::IdSource;

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
    Srv,
    Ns,
    Soa,
    Any,
    /// A type that no name here ever has.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// With empty answers: the name is there, but has no record of that type.
    NoError,
    /// Neither the name nor one below it is there.
    NxDomain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub owner: Arc<str>,
    pub data: RecordData,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordData {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv { weight: u16, port: u16, target: Arc<str> },
    Ns(Arc<str>),
    Soa(Soa),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    pub server: Arc<str>,
    pub responsible: Arc<str>,
    pub serial: u32,
    pub refresh_s: u32,
    pub retry_s: u32,
    pub expire_s: u32,
    /// How long an answer without records may be remembered.
    pub minimum_s: u32,
}

/// Records of the answer are in random order, which is how load is spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub code: Code,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    /// Addresses of the answer's targets.
    pub additional: Vec<Record>,
    /// There are more records than were asked for at most.
    pub is_cut: bool,
}

impl Zone {
    /// The answer for `name` (see [`super::label::normalised`]) with at most `max` records; `None` if the name is not
    /// of this domain.
    pub fn answer(&self, name: &str, kind: Kind, max: usize, ids: &mut IdSource) -> Option<Answer> {
        if !self.contains(name) {
            return None;
        }
        let is_apex = name == self.settings.domain;
        let found = self.names.get(name);
        let mut answer = Answer {
            code: if found.is_some() || is_apex { Code::NoError } else { Code::NxDomain },
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            is_cut: false,
        };
        if is_apex {
            self.answer_apex(kind, &mut answer);
        }
        if let Some((owner, entry)) = found {
            self.answer_entry(owner, entry, kind, max, ids, &mut answer);
        }
        if answer.answers.is_empty() {
            answer.authority.push(self.soa());
        }
        Some(answer)
    }

    /// Whether the zone has the say over a name.
    pub fn contains(&self, name: &str) -> bool {
        let above = name.strip_suffix(self.settings.domain.as_str());
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }

    pub fn soa(&self) -> Record {
        let soa = Soa {
            server: self.settings.server_name().into(),
            responsible: format!("root.{}", self.settings.server_name()).into(),
            serial: self.serial,
            refresh_s: 60,
            retry_s: 600,
            expire_s: 86_400,
            minimum_s: self.settings.ttl_s,
        };
        Record { owner: self.settings.domain.as_str().into(), data: RecordData::Soa(soa) }
    }

    fn answer_apex(&self, kind: Kind, answer: &mut Answer) {
        if matches!(kind, Kind::Soa | Kind::Any) {
            answer.answers.push(self.soa());
        }
        if matches!(kind, Kind::Ns | Kind::Any) {
            let server: Arc<str> = self.settings.server_name().into();
            let owner = self.settings.domain.as_str().into();
            answer.answers.push(Record { owner, data: RecordData::Ns(server.clone()) });
            self.add_addresses(&server, answer);
        }
    }

    fn answer_entry(
        &self,
        owner: &Arc<str>,
        entry: &Entry,
        kind: Kind,
        max: usize,
        ids: &mut IdSource,
        answer: &mut Answer,
    ) {
        let record = |data| Record { owner: owner.clone(), data };
        if matches!(kind, Kind::A | Kind::Any) {
            for address in picked(&entry.a, max, ids, &mut answer.is_cut) {
                answer.answers.push(record(RecordData::A(*address)));
            }
        }
        if matches!(kind, Kind::Aaaa | Kind::Any) {
            for address in picked(&entry.aaaa, max, ids, &mut answer.is_cut) {
                answer.answers.push(record(RecordData::Aaaa(*address)));
            }
        }
        if matches!(kind, Kind::Srv | Kind::Any) {
            let services = picked(&entry.srv, max, ids, &mut answer.is_cut);
            answer.answers.extend(services.iter().map(|service| record(self.srv(service))));
            // An answer that is cut has no room for anything else.
            if !answer.is_cut {
                let mut told = BTreeSet::new();
                for service in services.iter().filter(|service| told.insert(&service.host)) {
                    self.add_addresses(&service.host, answer);
                }
            }
        }
    }

    fn srv(&self, service: &Service) -> RecordData {
        RecordData::Srv { weight: self.settings.srv_weight, port: service.port, target: service.host.clone() }
    }

    /// Under the handle of the name that the caller has: a message then says it once.
    fn add_addresses(&self, owner: &Arc<str>, answer: &mut Answer) {
        let Some((_, entry)) = self.names.get(owner) else { return };
        let v4 = entry.a.iter().take(ADDITIONAL_PER_NAME_MAX).map(|address| RecordData::A(*address));
        let v6 = entry.aaaa.iter().take(ADDITIONAL_PER_NAME_MAX).map(|address| RecordData::Aaaa(*address));
        answer.additional.extend(v4.chain(v6).map(|data| Record { owner: owner.clone(), data }));
    }

    pub(super) fn data(&self, data: &Data) -> RecordData {
        match data {
            Data::A(address) => RecordData::A(*address),
            Data::Aaaa(address) => RecordData::Aaaa(*address),
            Data::Srv(service) => self.srv(service),
        }
    }

    /// Every record of a name, in order, for pages and lists.
    pub fn listed(&self, entry: &Entry) -> Vec<RecordData> {
        let v4 = entry.a.iter().map(|address| RecordData::A(*address));
        let v6 = entry.aaaa.iter().map(|address| RecordData::Aaaa(*address));
        v4.chain(v6).chain(entry.srv.iter().map(|service| self.srv(service))).collect()
    }
}

/// Addresses of each family that are sent along with an SRV record.
const ADDITIONAL_PER_NAME_MAX: usize = 8;

/// Up to `max` of a set, every choice and order as likely as any other.
fn picked<'a, T: Ord>(set: &'a Counted<T>, max: usize, ids: &mut IdSource, is_cut: &mut bool) -> Vec<&'a T> {
    let count = set.len();
    *is_cut |= count > max;
    if count == 1 {
        return set.iter().take(max).collect();
    }
    let mut order: Vec<usize> = (0..count).collect();
    let wanted = count.min(max);
    // The first steps of Fisher and Yates' shuffle.
    for at in 0..wanted {
        let other = at + ids.draw_below((count - at) as u64) as usize;
        order.swap(at, other);
    }
    order[..wanted].iter().filter_map(|at| set.get(*at)).collect()
}
