//! The node's name on its own network without any server: `NAME.local` and `_http._tcp` by multicast DNS. The `mdns-sd`
//! crate speaks the protocol, probes for others of the same name first and takes another name if there is one.

use std::net::IpAddr;
use std::time::Duration;

use console::adoption::CONSOLE_PORT;
use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceInfo};
use tokio::sync::mpsc;

const SERVICE: &str = "_http._tcp.local.";
const RETRY: Duration = Duration::from_secs(5);

/// What is announced where. Empty of addresses, nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announcement {
    pub host: String,
    pub cards: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

pub struct Responder {
    announced: Announcement,
    daemon: Option<ServiceDaemon>,
    /// The name that the network let us have.
    names: mpsc::Sender<String>,
    watcher: Option<tokio::task::JoinHandle<()>>,
}

impl Responder {
    pub fn new(names: mpsc::Sender<String>) -> Responder {
        Responder { announced: Announcement::default(), daemon: None, names, watcher: None }
    }

    /// Says anew what changed; false if nothing did. The crate looks for new addresses only by polling; we know when
    /// they come.
    pub fn announce(&mut self, wanted: Announcement) -> bool {
        if self.announced == wanted {
            return false;
        }
        self.stop();
        self.announced = wanted.clone();
        if !wanted.addresses.is_empty() {
            self.start(&wanted);
        }
        true
    }

    fn start(&mut self, wanted: &Announcement) {
        match start(wanted) {
            Ok(daemon) => {
                if let Ok(events) = daemon.monitor() {
                    let (names, original) = (self.names.clone(), format!("{}.local.", wanted.host));
                    self.watcher = Some(tokio::spawn(async move {
                        while let Ok(event) = events.recv_async().await {
                            if let DaemonEvent::NameChange(change) = event
                                && change.original.eq_ignore_ascii_case(&original)
                                && names.send(change.new_name.trim_end_matches('.').to_owned()).await.is_err()
                            {
                                return;
                            }
                        }
                    }));
                }
                self.daemon = Some(daemon);
            }
            Err(error) => tracing::warn!(%error, "the node has no name on the local network"),
        }
    }

    fn stop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        // It says good-bye in its own time.
        if let Some(Err(error)) = self.daemon.take().map(|daemon| daemon.shutdown()) {
            tracing::debug!(%error, "stopping the name responder");
        }
    }

    /// Takes the name back, so that neighbours forget it at once.
    pub async fn leave(mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        if let Some(ended) = self.daemon.take().and_then(|daemon| daemon.shutdown().ok()) {
            let _ = tokio::time::timeout(RETRY, ended.recv_async()).await;
        }
    }
}

fn start(wanted: &Announcement) -> Result<ServiceDaemon, mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    daemon.set_ip_check_interval(0)?;
    daemon.disable_interface(IfKind::All)?;
    for card in &wanted.cards {
        daemon.enable_interface(IfKind::Name(card.clone()))?;
    }
    let host = format!("{}.local.", wanted.host);
    let properties = [("path", "/"), ("product", "meseta")];
    let info =
        ServiceInfo::new(SERVICE, &wanted.host, &host, &wanted.addresses[..], CONSOLE_PORT, &properties[..])?;
    daemon.register(info)?;
    Ok(daemon)
}
