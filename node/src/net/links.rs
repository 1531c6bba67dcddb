//! The network of the node: watches the kernel's links, gives each card what the settings or DHCP say, tries changes
//! that a person asks for, and reports it all.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use console::{ClockStatus, HostStatus};
use futures::StreamExt;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;

use super::clock::{SAVE_EVERY, SavedClock};
use super::config::{Config, Source, resolv_conf};
use super::control::{CardView, Order, View};
use super::dhcp::client::Client;
use super::host_status;
use super::mdns::{Announcement, Responder};
use super::names;
use super::netlink::{self, Card};
use super::report::Report;
use super::seed::Seed;
use super::settings::{Addressing, Effective, Settings};
use super::sources::Sources;
use crate::images::Mirror;

const REPORT_AGAIN: Duration = Duration::from_secs(1);
const CONFIGS_MAX: usize = 16;
const PHASE: &str = "network";

struct Link {
    card: Card,
    /// What is sent before it runs is lost.
    runs: watch::Sender<bool>,
    config: Option<Config>,
    /// What the settings say of it; `None` is DHCP as well.
    ordered: Option<Addressing>,
    /// Ends with it.
    client: Option<tokio::task::JoinHandle<()>>,
    /// A client that was ended may still have said something: it counts no more.
    generation: u64,
}

/// What one DHCP client found: the interface, its generation, what it is to have.
pub type Leased = (u32, u64, Option<Config>);

/// What the loop is given.
pub struct Links {
    pub sources: Sources,
    pub resolv_conf: PathBuf,
    /// Where [`HostStatus`] is written for the agent.
    pub status: PathBuf,
    /// Where a join token of the settings is written for the agent.
    pub join_token: PathBuf,
    pub clock: SavedClock,
    pub report: Report,
    /// Only this card, of a machine that is not ours.
    pub only_card: Option<String>,
    pub view: watch::Sender<View>,
    pub orders: mpsc::Receiver<Order>,
    pub seeds: mpsc::Receiver<Seed>,
    pub time_servers: watch::Sender<Vec<String>>,
    pub time: watch::Receiver<ClockStatus>,
}

/// State of the loop: what is known of each card, by interface index.
struct Running {
    parts: Links,
    handle: Handle,
    links: BTreeMap<u32, Link>,
    leases: mpsc::Sender<Leased>,
    effective: Effective,
    trial: Option<Trial>,
    responder: Responder,
    /// The name that neighbours know, if it is not the host's.
    renamed: Option<String>,
    generation: u64,
    fault: String,
    refused: String,
    reached: bool,
}

/// Settings that are in force but not saved.
struct Trial {
    settings: Settings,
    until_ms: u64,
    end: Pin<Box<Sleep>>,
}

impl Links {
    /// Until SIGTERM.
    pub async fn run(self) -> io::Result<()> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, mut messages) = new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        let mut terminate = signal(SignalKind::terminate())?;
        let (leases, mut leased) = mpsc::channel(CONFIGS_MAX);
        let (names, mut renamed) = mpsc::channel(CONFIGS_MAX);
        let mut clock = tokio::time::interval(SAVE_EVERY);
        let mut time = self.time.clone();
        let mut state = Running {
            effective: self.sources.effective(),
            parts: self,
            handle,
            links: BTreeMap::new(),
            leases,
            trial: None,
            responder: Responder::new(names),
            renamed: None,
            generation: 0,
            fault: String::new(),
            refused: String::new(),
            reached: false,
        };
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
                Some((index, generation, config)) = leased.recv() => {
                    if state.links.get(&index).is_some_and(|link| link.generation == generation) {
                        state.configure(index, config).await;
                    }
                }
                Some(order) = state.parts.orders.recv() => state.obey(order).await,
                Some(seed) = state.parts.seeds.recv() => {
                    state.parts.sources.seed_found(seed);
                    state.settle().await;
                }
                () = trial_over(&mut state.trial) => state.revert().await,
                Some(name) = renamed.recv() => {
                    state.renamed = Some(name);
                    state.publish().await;
                }
                Ok(()) = time.changed() => state.publish().await,
                _ = clock.tick() => state.save_clock(),
                () = tokio::time::sleep(REPORT_AGAIN), if unsaid => state.parts.report.say(),
                _ = terminate.recv() => {
                    state.save_clock();
                    state.responder.leave().await;
                    return Ok(());
                }
            }
        }
    }
}

async fn trial_over(trial: &mut Option<Trial>) {
    match trial {
        Some(trial) => trial.end.as_mut().await,
        None => std::future::pending().await,
    }
}

impl Running {
    async fn begin(&mut self) {
        self.parts.report.phase(PHASE, false, "");
        if self.parts.only_card.is_none()
            && let Err(error) = netlink::set_up_loopback(&self.handle).await
        {
            self.failed("lo", &error);
        }
        // Cards that are there already; later ones are announced.
        match netlink::cards(&self.handle, self.parts.only_card.as_deref()).await {
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
                if let Some(card) = netlink::card(&link, self.parts.only_card.as_deref()) {
                    self.see(card).await;
                }
            }
            RouteNetlinkMessage::DelLink(link) => {
                // Its client ends with the sender.
                self.links.remove(&link.header.index);
            }
            RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => {}
            _ => return,
        }
        self.publish().await;
    }

    async fn see(&mut self, card: Card) {
        if let Some(link) = self.links.get_mut(&card.index) {
            let runs = card.runs;
            link.card = card;
            link.runs.send_if_modified(|old| std::mem::replace(old, runs) != runs);
            return;
        }
        tracing::info!(device = card.name, index = card.index, "a network card");
        if !card.up {
            // The carrier shows only on a card that is up; the kernel announces it.
            if let Err(error) = netlink::set_up(&self.handle, card.index).await {
                self.failed(&card.name, &error);
            }
        }
        let (runs, _) = watch::channel(card.runs);
        let index = card.index;
        let link = Link { card, runs, config: None, ordered: None, client: None, generation: 0 };
        self.links.insert(index, link);
        self.address(index).await;
    }

    /// What the settings say of a card; the first of the machine is the one with the lowest index.
    fn order(&self, index: u32) -> Option<Addressing> {
        let link = self.links.get(&index)?;
        let first = self.links.keys().next() == Some(&index);
        self.effective.settings.of(&link.card.name, &link.card.mac, first).cloned()
    }

    /// Gives a card its address the way the settings say.
    async fn address(&mut self, index: u32) {
        let order = self.order(index);
        self.generation += 1;
        let (generation, origin) = (self.generation, self.effective.origin);
        let Some(link) = self.links.get_mut(&index) else { return };
        if let Some(client) = link.client.take() {
            client.abort();
        }
        link.generation = generation;
        link.ordered = order.clone();
        match order {
            Some(Addressing::Static { address, prefix, gateway }) => {
                let config = Config {
                    address,
                    prefix,
                    gateway,
                    dns: Vec::new(),
                    ntp: Vec::new(),
                    host: None,
                    domain: None,
                    source: Source::Settings(origin),
                };
                // A default route stays with its address; it goes only when that goes.
                if link.config.as_ref().is_some_and(|old| old.gateway != gateway) {
                    self.configure(index, None).await;
                }
                self.configure(index, Some(config)).await;
            }
            Some(Addressing::Off) => self.configure(index, None).await,
            Some(Addressing::Dhcp) | None => {
                let client = Client {
                    device: link.card.name.clone(),
                    index,
                    generation,
                    mac: link.card.mac,
                    carrier: link.runs.subscribe(),
                    configs: self.leases.clone(),
                };
                link.client = Some(tokio::spawn(client.run()));
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
            None if link.config.is_some() => tracing::warn!(device = name, "the address is no longer ours"),
            None => {}
        }
        link.config = config.clone();
        match netlink::apply(&self.handle, index, config.as_ref()).await {
            Ok(()) => self.fault.clear(),
            Err(error) => self.failed(&name, &error),
        }
        self.publish().await;
    }

    // === Changes of the settings ===

    async fn obey(&mut self, order: Order) {
        self.refused = match (order.check(), order) {
            (Err(fault), _) => fault,
            (Ok(()), Order::Try { settings, seconds }) => {
                let length = Duration::from_secs(seconds);
                let until_ms = crate::init::clock::now() + seconds * 1000;
                tracing::info!(seconds, "network settings are tried");
                self.trial = Some(Trial { settings, until_ms, end: Box::pin(tokio::time::sleep(length)) });
                String::new()
            }
            (Ok(()), Order::Confirm) => match self.trial.take() {
                Some(trial) => match self.parts.sources.save(trial.settings) {
                    Ok(()) => String::new(),
                    Err(error) => format!("the settings were not saved: {error}"),
                },
                None => "nothing is being tried; it was taken back already".to_owned(),
            },
            (Ok(()), Order::Revert) => {
                self.trial = None;
                String::new()
            }
        };
        self.settle().await;
    }

    async fn revert(&mut self) {
        tracing::warn!("nobody confirmed the network settings: the old ones are back");
        self.trial = None;
        self.refused = "nobody confirmed in time: the old settings are back".to_owned();
        self.settle().await;
    }

    /// Brings every card to what now counts.
    async fn settle(&mut self) {
        self.effective = match &self.trial {
            Some(trial) => self.parts.sources.effective_with(&trial.settings),
            None => self.parts.sources.effective(),
        };
        let changed: Vec<u32> = self
            .links
            .iter()
            .filter(|(index, link)| !same_way(&link.ordered, &self.order(**index)))
            .map(|(index, _)| *index)
            .collect();
        for index in changed {
            self.address(index).await;
        }
        self.publish().await;
    }

    // === What others are told ===

    /// Files, host name, announcements and report follow from what is known; each is written only when it differs.
    async fn publish(&mut self) {
        let settings = self.effective.settings.clone();
        let configs = self.links.values().filter_map(|link| link.config.as_ref());
        let text = resolv_conf(&settings.dns, configs.clone());
        let offered = configs.clone().flat_map(|config| config.ntp.iter().map(ToString::to_string));
        let servers = if settings.ntp.is_empty() { offered.collect() } else { settings.ntp.clone() };
        let given =
            settings.hostname.clone().or_else(|| configs.clone().find_map(|config| config.host.clone()));
        let mac = self.links.values().next().map(|link| link.card.mac);
        let host = given.unwrap_or_else(|| names::own_name(mac.as_ref()));
        if let Err(error) = names::replace_file(&self.parts.resolv_conf, &text) {
            self.failed("writing resolv.conf", &error);
        }
        if self.parts.only_card.is_none()
            && let Err(error) = names::apply(&host)
        {
            self.failed("setting the host name", &error);
        }
        self.parts.time_servers.send_if_modified(|old| {
            let differs = *old != servers;
            *old = servers;
            differs
        });
        let indexes: Vec<u32> = self.links.keys().copied().collect();
        let reachable = netlink::reachable(&self.handle, &indexes).await.unwrap_or_default();
        let short = host.split('.').next().unwrap_or(&host).to_owned();
        let runs = |index: &u32| self.links.get(index).is_some_and(|link| link.card.runs);
        let wanted = Announcement {
            host: short.clone(),
            cards: self
                .links
                .values()
                .filter(|link| link.card.runs)
                .map(|link| link.card.name.clone())
                .collect(),
            addresses: reachable
                .iter()
                .filter(|(index, _)| runs(index))
                .map(|(_, address)| *address)
                .collect(),
        };
        if self.responder.announce(wanted) {
            self.renamed = None;
        }
        let local_name = self.renamed.clone().unwrap_or_else(|| format!("{short}.local"));
        self.tell(&host, local_name, &reachable);
        if !self.reached && self.links.values().any(|link| link.config.is_some()) {
            self.reached = true;
            self.parts.report.phase(PHASE, true, "");
        }
    }

    fn tell(&mut self, host: &str, local_name: String, reachable: &[(u32, std::net::IpAddr)]) {
        let clock = self.parts.time.borrow().clone();
        let mut lines = self.lines(host, reachable);
        lines.push(("local name".to_owned(), local_name.clone()));
        lines.push(("settings".to_owned(), self.effective.origin.to_string()));
        if !clock.source.is_empty() {
            lines.push(("clock".to_owned(), format!("{}, {:+} ms", clock.source, clock.offset_ms)));
        }
        let mut faults = self.effective.faults.clone();
        faults
            .extend([self.fault.clone(), clock.fault.clone()].into_iter().filter(|fault| !fault.is_empty()));
        self.parts.report.status(lines, faults.join("; "));
        if self.parts.only_card.is_none() {
            self.parts.report.watchdog(self.effective.settings.watchdog.unwrap_or_default());
        }
        let view = View {
            cards: self.links.values().map(card_view).collect(),
            settings: self.effective.settings.clone(),
            origin: Some(self.effective.origin),
            trial_until_ms: self.trial.as_ref().map(|trial| trial.until_ms),
            refused: self.refused.clone(),
        };
        self.parts.view.send_if_modified(|old| {
            let differs = *old != view;
            *old = view;
            differs
        });
        let status = HostStatus {
            config_source: self.effective.origin.to_string(),
            config_errors: self.effective.faults.clone(),
            local_name,
            proxy: self.effective.settings.proxy.clone().unwrap_or_default(),
            registry_mirrors: self
                .effective
                .settings
                .registry_mirrors
                .iter()
                .map(Mirror::to_string)
                .collect(),
            clock,
        };
        if let Err(error) = host_status::write(&self.parts.status, &status) {
            self.failed("writing the status", &error);
        }
        if let Some(token) = &self.effective.settings.join
            && let Err(error) = names::replace_secret_file(&self.parts.join_token, &token.to_line())
        {
            self.failed("writing the join token", &error);
        }
    }

    fn lines(&self, host: &str, reachable: &[(u32, std::net::IpAddr)]) -> Vec<(String, String)> {
        let mut lines = vec![("name".to_owned(), host.to_owned())];
        for (index, address) in reachable {
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

/// Nothing said is DHCP.
fn same_way(one: &Option<Addressing>, other: &Option<Addressing>) -> bool {
    one.as_ref().unwrap_or(&Addressing::Dhcp) == other.as_ref().unwrap_or(&Addressing::Dhcp)
}

fn card_view(link: &Link) -> CardView {
    let state = match &link.config {
        Some(config) => {
            let router = config.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            format!("{}/{}{router} ({})", config.address, config.prefix, config.source)
        }
        None => "no address".to_owned(),
    };
    CardView { name: link.card.name.clone(), mac: link.card.mac, carrier: link.card.carrier, state }
}
