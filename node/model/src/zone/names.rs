//! All names of the zone with what they hold. Persistent: a copy costs nothing, so that queries keep reading the old
//! one while the next is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use imbl::OrdMap;

use super::label::is_sayable;

/// What one record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv(Service),
}

/// Where a service is: a port of a host that has addresses of its own in the zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    pub host: Arc<str>,
    pub port: u16,
}

impl From<IpAddr> for Data {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::A(v4),
            IpAddr::V6(v6) => Self::Aaaa(v6),
        }
    }
}

/// A sorted set that knows how many tasks want each value: it goes with the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<T>(Vec<(T, u32)>);

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Counted<T> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter().map(|(value, _)| value)
    }

    pub fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at).map(|(value, _)| value)
    }

    /// True if the value was not there.
    fn add(&mut self, value: T) -> bool {
        match self.0.binary_search_by(|(known, _)| known.cmp(&value)) {
            Ok(at) => {
                self.0[at].1 += 1;
                false
            }
            Err(at) => {
                self.0.insert(at, (value, 1));
                true
            }
        }
    }

    /// True if nobody wants the value any more.
    fn remove(&mut self, value: &T) -> bool {
        let Ok(at) = self.0.binary_search_by(|(known, _)| known.cmp(value)) else { return false };
        self.0[at].1 -= 1;
        let is_last = self.0[at].1 == 0;
        if is_last {
            self.0.remove(at);
        }
        is_last
    }
}

/// One name. It may hold nothing itself and be there because there are names below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub a: Counted<Ipv4Addr>,
    pub aaaa: Counted<Ipv6Addr>,
    pub srv: Counted<Service>,
    /// Names directly below this one that are in the zone.
    below: u32,
}

impl Entry {
    /// Records of all types.
    pub fn len(&self) -> usize {
        self.a.len() + self.aaaa.len() + self.srv.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_needed(&self) -> bool {
        !self.is_empty() || self.below > 0
    }

    fn add(&mut self, data: &Data) -> bool {
        match data {
            Data::A(address) => self.a.add(*address),
            Data::Aaaa(address) => self.aaaa.add(*address),
            Data::Srv(service) => self.srv.add(service.clone()),
        }
    }

    fn remove(&mut self, data: &Data) -> bool {
        match data {
            Data::A(address) => self.a.remove(address),
            Data::Aaaa(address) => self.aaaa.remove(address),
            Data::Srv(service) => self.srv.remove(service),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    map: OrdMap<Arc<str>, Arc<Entry>>,
    records: usize,
}

impl Names {
    pub fn get(&self, name: &str) -> Option<(&Arc<str>, &Entry)> {
        self.map.get_key_value(name).map(|(name, entry)| (name, &**entry))
    }

    /// Names that hold records, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.map.iter().map(|(name, entry)| (name, &**entry)).filter(|(_, entry)| !entry.is_empty())
    }

    pub fn records(&self) -> usize {
        self.records
    }

    /// True if the record was not there. A name that no message could hold is left out.
    pub fn add(&mut self, name: &str, data: &Data) -> bool {
        if !is_sayable(name) {
            return false;
        }
        if let Some(entry) = self.map.get_mut(name) {
            let is_new = Arc::make_mut(entry).add(data);
            self.records += usize::from(is_new);
            return is_new;
        }
        let mut entry = Entry::default();
        entry.add(data);
        self.map.insert(name.into(), Arc::new(entry));
        self.records += 1;
        self.attach(name);
        true
    }

    /// True if the record is there no more.
    pub fn remove(&mut self, name: &str, data: &Data) -> bool {
        let Some(entry) = self.map.get_mut(name).map(Arc::make_mut) else { return false };
        if !entry.remove(data) {
            return false;
        }
        self.records -= 1;
        if !entry.is_needed() {
            self.map.remove(name);
            self.detach(name);
        }
        true
    }

    /// Tells the names above that there is one more below.
    fn attach(&mut self, name: &str) {
        let mut name = name;
        while let Some((_, above)) = name.split_once('.') {
            if let Some(entry) = self.map.get_mut(above) {
                Arc::make_mut(entry).below += 1;
                return;
            }
            self.map.insert(above.into(), Arc::new(Entry { below: 1, ..Entry::default() }));
            name = above;
        }
    }

    fn detach(&mut self, name: &str) {
        let mut name = name;
        while let Some((_, above)) = name.split_once('.') {
            let Some(entry) = self.map.get_mut(above).map(Arc::make_mut) else { return };
            entry.below -= 1;
            if entry.is_needed() {
                return;
            }
            self.map.remove(above);
            name = above;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Data {
        Data::A(Ipv4Addr::new(10, 0, 0, last))
    }

    #[test]
    fn a_record_goes_with_the_last_that_wants_it() {
        let mut names = Names::default();
        assert!(names.add("a.mesos", &address(1)));
        assert!(!names.add("a.mesos", &address(1)));
        assert!(names.add("a.mesos", &address(2)));
        assert!(!names.remove("a.mesos", &address(1)));
        assert!(names.remove("a.mesos", &address(1)));
        assert_eq!(names.records(), 1);
        assert!(!names.remove("a.mesos", &address(1)) && !names.remove("b.mesos", &address(1)));
    }

    #[test]
    fn names_above_are_there_as_long_as_one_is_below() {
        let mut names = Names::default();
        names.add("_x._tcp.a.mesos", &address(1));
        names.add("b.a.mesos", &address(1));
        for name in ["_x._tcp.a.mesos", "_tcp.a.mesos", "a.mesos", "mesos"] {
            assert!(names.get(name).is_some(), "{name}");
        }
        assert_eq!(names.iter().count(), 2);
        names.remove("_x._tcp.a.mesos", &address(1));
        assert!(names.get("_tcp.a.mesos").is_none() && names.get("a.mesos").is_some());
        names.remove("b.a.mesos", &address(1));
        assert_eq!(names, Names::default());
    }

    #[test]
    fn what_cannot_be_said_is_left_out() {
        let mut names = Names::default();
        for name in ["a..mesos", ".mesos", &format!("{}.mesos", "a".repeat(64)), &"ab.".repeat(90)] {
            assert!(!names.add(name, &address(1)), "{name}");
            assert!(!names.remove(name, &address(1)), "{name}");
        }
        assert_eq!(names, Names::default());
    }
}
