//! IPv4 subnets: their text, what lies in them, and which one a node's bridge may take. Pure.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Private networks that few people use elsewhere, in the order of preference.
const CANDIDATES: [(u8, u8, u8); 6] =
    [(172, 26, 0), (172, 27, 128), (172, 29, 64), (10, 213, 0), (10, 87, 32), (192, 168, 208)];
/// Room for 4,093 tasks: more than a node is ever given.
const PREFIX: u8 = 20;
/// The bridge, and at least one task.
const PREFIX_MAX: u8 = 30;
/// A bridge of more addresses than this is one broadcast domain too large.
const PREFIX_MIN: u8 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    address: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// The subnet of which `address` is a part.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { address: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix }
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The bridge's own address: the first of the subnet.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() + 1)
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        let wider = self.prefix.min(other.prefix);
        Self::around(self.address, wider) == Self::around(other.address, wider)
    }

    /// How many tasks it holds: all addresses but its own, the bridge's and the broadcast.
    pub fn room(&self) -> u32 {
        (1u32 << (32 - u32::from(self.prefix))) - 3
    }

    /// The task address with that number, from 0 to `room() - 1`.
    pub fn task_address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() + 2 + number % self.room())
    }

    /// The number of a task's address; `None` for what is no task's.
    pub fn task_number(&self, address: Ipv4Addr) -> Option<u32> {
        let number = address.to_bits().checked_sub(self.address.to_bits() + 2)?;
        Some(number).filter(|number| *number < self.room())
    }
}

/// The first candidate that overlaps nothing in `taken`.
pub fn choose(taken: &[Subnet]) -> Option<Subnet> {
    let candidates = CANDIDATES.iter().map(|&(a, b, c)| Subnet::around(Ipv4Addr::new(a, b, c, 0), PREFIX));
    candidates.into_iter().find(|candidate| !taken.iter().any(|other| other.overlaps(candidate)))
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no IPv4 subnet; expected one like 172.26.0.0/20");
        let (address, prefix) = text.split_once('/').ok_or_else(fault)?;
        let address: Ipv4Addr = address.parse().map_err(|_| fault())?;
        let prefix: u8 = prefix.parse().map_err(|_| fault())?;
        if !(PREFIX_MIN..=PREFIX_MAX).contains(&prefix) {
            return Err(format!("`{text}`: expected a prefix from {PREFIX_MIN} to {PREFIX_MAX}"));
        }
        let subnet = Self::around(address, prefix);
        if subnet.address != address {
            return Err(format!("`{text}` is an address inside a subnet; expected the subnet, {subnet}"));
        }
        Ok(subnet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect(text)
    }

    #[test]
    fn a_subnet_has_one_gateway_and_room() {
        let small = subnet("10.1.2.8/29");
        assert_eq!(small.gateway(), Ipv4Addr::new(10, 1, 2, 9));
        assert_eq!(small.room(), 5);
        let all: Vec<Ipv4Addr> = (0..5).map(|n| small.task_address(n)).collect();
        assert_eq!(all.first(), Some(&Ipv4Addr::new(10, 1, 2, 10)));
        assert_eq!(all.last(), Some(&Ipv4Addr::new(10, 1, 2, 14)));
        for (n, address) in all.into_iter().enumerate() {
            assert_eq!(small.task_number(address), Some(n as u32));
        }
        for other in [[10, 1, 2, 8], [10, 1, 2, 9], [10, 1, 2, 15], [10, 1, 2, 16], [10, 1, 2, 7]] {
            assert_eq!(small.task_number(other.into()), None, "{other:?}");
        }
    }

    #[test]
    fn the_bridge_keeps_clear_of_the_nodes_links() {
        assert_eq!(choose(&[]), Some(subnet("172.26.0.0/20")));
        assert_eq!(
            choose(&[subnet("172.16.0.0/16"), subnet("172.26.0.0/16")]),
            Some(subnet("172.27.128.0/20"))
        );
        let all_of_172 = Subnet::around(Ipv4Addr::new(172, 16, 0, 0), 12);
        assert_eq!(choose(&[all_of_172]), Some(subnet("10.213.0.0/20")));
        assert_eq!(
            choose(&[all_of_172, Subnet::around(Ipv4Addr::new(10, 0, 0, 0), 8)]),
            Some(subnet("192.168.208.0/20"))
        );
        assert_eq!(choose(&[Subnet::around(Ipv4Addr::UNSPECIFIED, 0)]), None);
    }

    #[test]
    fn faults_name_what_was_expected() {
        for (text, words) in [
            ("10.0.0.0", "expected one like"),
            ("10.0.0/24", "expected one like"),
            ("10.0.0.0/8", "from 16 to 30"),
            ("10.0.0.0/31", "from 16 to 30"),
            ("10.0.0.1/24", "10.0.0.0/24"),
        ] {
            let fault = text.parse::<Subnet>().expect_err(text);
            assert!(fault.contains(words) && fault.contains(text), "{fault}");
        }
    }
}
