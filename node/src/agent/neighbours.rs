//! Nodes of the same network find each other by multicast DNS (the `mdns-sd` crate): one that nobody has claimed
//! announces itself, one of a cluster listens for such. What they say of themselves is shown to people and proves nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use console::adoption::UnclaimedNode;
use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use model::State;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::addresses::AddressEvents;
use super::machine::Machine;

const SERVICE: &str = "_meseta._tcp.local.";
/// More are not kept: anybody can announce anything.
const FOUND_MAX: usize = 64;
const TEXT_CHARS_MAX: usize = 64;
const RETRY: Duration = Duration::from_secs(5);
/// For the good-bye, after which neighbours forget this node at once.
const LEAVE: Duration = Duration::from_secs(1);

/// Those that were heard of, by the name of their announcement.
#[derive(Clone, Default)]
pub struct Neighbours(Arc<Mutex<BTreeMap<String, UnclaimedNode>>>);

impl Neighbours {
    /// Without those that are members already: their good-bye may have been lost.
    pub fn unclaimed(&self, state: &State) -> Vec<UnclaimedNode> {
        let is_member = |address: &IpAddr| state.members.values().any(|m| m.addresses.contains(address));
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.values().filter(|node| !node.addresses.iter().any(is_member)).cloned().collect()
    }

    /// Until shutdown. Begins anew whenever this node is claimed or its addresses change.
    pub async fn run(
        self,
        mut states: watch::Receiver<Arc<State>>,
        machine: Arc<Machine>,
        port: u16,
        shutdown: CancellationToken,
    ) {
        let mut events = AddressEvents::open("changes of addresses are not announced");
        while !shutdown.is_cancelled() {
            let is_claimed = states.borrow_and_update().is_claimed();
            let addresses = machine.addresses();
            let place = Place { machine: &machine, addresses: &addresses, port };
            let (daemon, found) = match place.start(is_claimed) {
                Ok(started) => started,
                Err(error) => {
                    tracing::warn!(%error, "neighbours cannot be heard");
                    if shutdown.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                        return;
                    }
                    continue;
                }
            };
            // Cancel safety: what was heard and not kept is announced again.
            tokio::select! {
                () = self.listen(found) => {}
                _ = states.wait_for(|state| state.is_claimed() != is_claimed) => {}
                () = moved(&mut events, &machine, &addresses) => {}
                () = shutdown.cancelled() => {}
            }
            if let Ok(ended) = daemon.shutdown() {
                let _ = tokio::time::timeout(LEAVE, ended.recv_async()).await;
            }
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Returns only if nothing more can be heard.
    async fn listen(&self, found: Option<Receiver<ServiceEvent>>) {
        let Some(found) = found else { return std::future::pending().await };
        while let Ok(event) = found.recv_async().await {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                ServiceEvent::ServiceResolved(service)
                    if known.len() < FOUND_MAX || known.contains_key(&service.fullname) =>
                {
                    known.insert(service.fullname.clone(), node_of(&service));
                }
                ServiceEvent::ServiceRemoved(_, name) => {
                    known.remove(&name);
                }
                _ => {}
            }
        }
    }
}

/// Where this node announces itself or listens.
struct Place<'a> {
    machine: &'a Machine,
    addresses: &'a [IpAddr],
    port: u16,
}

impl Place<'_> {
    fn start(
        &self,
        is_claimed: bool,
    ) -> Result<(ServiceDaemon, Option<Receiver<ServiceEvent>>), mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        daemon.set_ip_check_interval(0)?;
        // Not on the bridge of the tasks.
        daemon.disable_interface(IfKind::All)?;
        for address in self.addresses.iter().filter(|address| !address.is_loopback()) {
            daemon.enable_interface(IfKind::Addr(*address))?;
        }
        if is_claimed {
            let found = daemon.browse(SERVICE)?;
            return Ok((daemon, Some(found)));
        }
        let id = self.machine.node.to_string();
        let host = format!("{id}.local.");
        let name = host_name();
        let properties = [("name", name.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
        daemon.register(ServiceInfo::new(
            SERVICE,
            &id,
            &host,
            self.addresses,
            self.port,
            &properties[..],
        )?)?;
        Ok((daemon, None))
    }
}

fn host_name() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| String::new(), |names| names.nodename().to_string_lossy().into())
}

/// Returns once the machine has other addresses.
async fn moved(events: &mut AddressEvents, machine: &Machine, addresses: &[IpAddr]) {
    while machine.addresses() == addresses {
        events.changed().await;
    }
}

fn node_of(service: &ResolvedService) -> UnclaimedNode {
    let text = |key: &str| -> String {
        let value = service.txt_properties.get_property_val_str(key).unwrap_or_default();
        value.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
    };
    let mut addresses: Vec<IpAddr> = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
    addresses.sort();
    UnclaimedNode { name: text("name"), addresses, port: service.port, version: text("version") }
}
