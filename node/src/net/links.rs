//! The network of the node: watches the kernel's links, keeps one DHCP client a card, applies what they find, and
//! reports it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::clock::{SAVE_EVERY, SavedClock};
use super::config::{Config, resolv_conf};
use super::dhcp::client::Client;
use super::kernel_line::{Addressing, Orders};
use super::names;
use super::netlink::{self, Card};
use super::report::Report;

const REPORT_AGAIN: Duration = Duration::from_secs(1);
const CONFIGS_MAX: usize = 16;
const PHASE: &str = "network";

struct Link {
    card: Card,
    carrier: watch::Sender<bool>,
    config: Option<Config>,
}

pub struct Links {
    pub orders: Orders,
    pub resolv_conf: PathBuf,
    pub clock: SavedClock,
    pub report: Report,
}

/// State of the loop: what is known of each card, by interface index.
struct Running {
    parts: Links,
    handle: Handle,
    links: BTreeMap<u32, Link>,
    configs: mpsc::Sender<(u32, Option<Config>)>,
    fault: String,
    reached: bool,
}

impl Links {
    /// Until SIGTERM.
    pub async fn run(self) -> io::Result<()> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, mut messages) = new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        let mut terminate = signal(SignalKind::terminate())?;
        let (sender, mut configs) = mpsc::channel(CONFIGS_MAX);
        let mut clock = tokio::time::interval(SAVE_EVERY);
        let fault = self.orders.faults.join("; ");
        let links = BTreeMap::new();
        let mut state = Running { parts: self, handle, links, configs: sender, fault, reached: false };
        state.begin().await;
        loop {
            let unsaid = state.parts.report.unsaid();
            // Every arm is cancel-safe: channels and signals keep what was not taken, intervals and sleeps have no
            // state worth keeping.
            tokio::select! {
                message = messages.next() => match message {
                    Some((message, _)) => state.heard(message.payload).await,
                    None => return Err(io::Error::other("the kernel closed the netlink socket")),
                },
                Some((index, config)) = configs.recv() => state.configure(index, config).await,
                _ = clock.tick() => state.save_clock(),
                () = tokio::time::sleep(REPORT_AGAIN), if unsaid => state.parts.report.say(),
                _ = terminate.recv() => {
                    state.save_clock();
                    return Ok(());
                }
            }
        }
    }
}

impl Running {
    async fn begin(&mut self) {
        self.parts.report.phase(PHASE, false, "");
        if let Err(error) = netlink::set_up_loopback(&self.handle).await {
            self.failed("lo", &error);
        }
        // Cards that are there already; later ones are announced.
        match netlink::cards(&self.handle).await {
            Ok(cards) => {
                for card in cards {
                    self.see(card).await;
                }
            }
            Err(error) => self.failed("listing the network cards", &error),
        }
        self.publish().await;
    }

    async fn heard(&mut self, payload: NetlinkPayload<RouteNetlinkMessage>) {
        let NetlinkPayload::InnerMessage(message) = payload else { return };
        match message {
            RouteNetlinkMessage::NewLink(link) => {
                if let Some(card) = netlink::card(&link) {
                    self.see(card).await;
                }
            }
            RouteNetlinkMessage::DelLink(link) => {
                // Its client ends with the carrier's sender.
                self.links.remove(&link.header.index);
            }
            RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => {}
            _ => return,
        }
        self.publish().await;
    }

    async fn see(&mut self, card: Card) {
        if let Some(link) = self.links.get_mut(&card.index) {
            let carrier = card.carrier;
            link.card = card;
            link.carrier.send_if_modified(|old| std::mem::replace(old, carrier) != carrier);
            return;
        }
        tracing::info!(device = card.name, index = card.index, "a network card");
        if !card.up {
            // The carrier shows only on a card that is up; the kernel announces it.
            if let Err(error) = netlink::set_up(&self.handle, card.index).await {
                self.failed(&card.name, &error);
            }
        }
        let (carrier, receiver) = watch::channel(card.carrier);
        let (index, device, mac) = (card.index, card.name.clone(), card.mac);
        let first = self.links.is_empty();
        self.links.insert(index, Link { card, carrier, config: None });
        let order = self.parts.orders.of(&device, first).cloned();
        match order.map(|order| order.addressing) {
            Some(Addressing::Static(config)) => self.configure(index, Some(config)).await,
            Some(Addressing::Off) => {}
            Some(Addressing::Dhcp) | None => {
                let configs = self.configs.clone();
                tokio::spawn(Client { device, index, mac, carrier: receiver, configs }.run());
            }
        }
    }

    async fn configure(&mut self, index: u32, config: Option<Config>) {
        let Some(link) = self.links.get_mut(&index) else { return };
        let name = link.card.name.clone();
        match &config {
            Some(config) => {
                tracing::info!(device = name, address = %config.address, prefix = config.prefix, source = %config.source, "address");
            }
            None => tracing::warn!(device = name, "the address is no longer ours"),
        }
        link.config = config.clone();
        match netlink::apply(&self.handle, index, config.as_ref()).await {
            Ok(()) => self.fault = self.parts.orders.faults.join("; "),
            Err(error) => self.failed(&name, &error),
        }
        self.publish().await;
    }

    /// Files, host name and report follow from what is known; each is written only when it differs.
    async fn publish(&mut self) {
        let configs = self.links.values().filter_map(|link| link.config.as_ref());
        let text = resolv_conf(configs.clone());
        let ordered = self.parts.orders.interfaces.iter().find_map(|order| order.host.clone());
        let given = ordered.or_else(|| configs.clone().find_map(|config| config.host.clone()));
        let mac = self.links.values().next().map(|link| link.card.mac);
        let host = given.unwrap_or_else(|| names::own_name(mac.as_ref()));
        if let Err(error) = names::replace_file(&self.parts.resolv_conf, &text) {
            self.failed("writing resolv.conf", &error);
        }
        if let Err(error) = names::apply(&host) {
            self.failed("setting the host name", &error);
        }
        let lines = self.lines(&host).await;
        self.parts.report.status(lines, self.fault.clone());
        if !self.reached && self.links.values().any(|link| link.config.is_some()) {
            self.reached = true;
            self.parts.report.phase(PHASE, true, "");
        }
    }

    async fn lines(&self, host: &str) -> Vec<(String, String)> {
        let mut lines = vec![("name".to_owned(), host.to_owned())];
        let indexes: Vec<u32> = self.links.keys().copied().collect();
        let reachable = netlink::reachable(&self.handle, &indexes).await.unwrap_or_default();
        for (index, address) in &reachable {
            let Some(link) = self.links.get(index) else { continue };
            let source = link.config.as_ref().filter(|config| config.address == *address);
            let source = source.map(|config| format!(", {}", config.source)).unwrap_or_default();
            lines.push(("address".into(), format!("{address} ({}{source})", link.card.name)));
        }
        for (index, link) in &self.links {
            let silent = !reachable.iter().any(|(with_address, _)| with_address == index);
            if !link.card.carrier {
                lines.push((link.card.name.clone(), "no carrier".into()));
            } else if silent {
                lines.push((link.card.name.clone(), "waiting for an address".into()));
            }
        }
        if self.links.is_empty() {
            lines.push(("address".into(), "no network card found yet".into()));
        }
        lines
    }

    fn failed(&mut self, what: &str, error: &dyn std::error::Error) {
        tracing::warn!(what, %error, "network");
        self.fault = format!("{what}: {error}");
    }

    fn save_clock(&mut self) {
        if let Err(error) = self.parts.clock.save() {
            tracing::warn!(%error, "saving the clock");
        }
    }
}
