//! How one task hangs on the bridge: written into its bundle by the agent, made by the helper.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::subnet::Subnet;

/// Interfaces of tasks begin with this, on the node's side. At most 15 characters fit into a name.
pub const LINK_PREFIX: &str = "mt";
/// The task's end, as it sees it.
pub const LINK_IN_TASK: &str = "eth0";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub bridge: String,
    pub address: Ipv4Addr,
    pub prefix: u8,
    /// The bridge's own address: default route and name server of the task.
    pub gateway: Ipv4Addr,
}

impl Attachment {
    pub fn new(bridge: &str, address: Ipv4Addr, subnet: &Subnet) -> Self {
        Self { bridge: bridge.to_owned(), address, prefix: subnet.prefix(), gateway: subnet.gateway() }
    }

    pub fn link(&self) -> String {
        link_of(self.address)
    }
}

/// The node's end of the pair that leads to that address: whose an interface is shows in its name.
pub fn link_of(address: Ipv4Addr) -> String {
    format!("{LINK_PREFIX}{:08x}", address.to_bits())
}

/// The hardware address follows from the IPv4 address, so that neighbours never hold an outdated one.
pub fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x4d, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_are_local() {
        let address = Ipv4Addr::new(172, 26, 0, 2);
        assert_eq!(link_of(address), "mtac1a0002");
        // Locally administered, not multicast.
        assert_eq!(mac_of(address)[0] & 3, 2);
    }
}
