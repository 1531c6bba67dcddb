//! `RUN/net.sock`: what the network is, line by line as JSON whenever it changes, and orders to change it. A change is
//! tried first and taken back unless somebody confirms it in time.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use super::dhcp::Mac;
use super::settings::{Origin, Settings};

const LINE_BYTES_MAX: u64 = 64 * 1024;
/// After this no person comes any more who could confirm.
const TRIAL_SECONDS_MAX: u64 = 600;
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// From now on, but only for so long unless confirmed.
    Try {
        settings: Settings,
        seconds: u64,
    },
    /// What is tried is saved.
    Confirm,
    Revert,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub cards: Vec<CardView>,
    pub settings: Settings,
    pub origin: Option<Origin>,
    /// CLOCK_BOOTTIME milliseconds at which a trial is taken back.
    pub trial_until_ms: Option<u64>,
    /// Why the last order was not followed.
    pub refused: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardView {
    pub name: String,
    pub mac: Mac,
    pub carrier: bool,
    /// What it has now, in words.
    pub state: String,
}

impl Order {
    /// Bounded and possible, or why not.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Order::Try { seconds, .. } if !(1..=TRIAL_SECONDS_MAX).contains(seconds) => {
                Err(format!("seconds is {seconds}, expected 1 to {TRIAL_SECONDS_MAX}"))
            }
            Order::Try { settings, .. } => settings.check(),
            Order::Confirm | Order::Revert => Ok(()),
        }
    }
}

/// Serves until the role ends. Only root reaches the folder.
pub fn listen(path: &Path, view: watch::Receiver<View>, orders: mpsc::Sender<Order>) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (view, orders) = (view.clone(), orders.clone());
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, view, orders).await {
                            tracing::debug!(%error, "a visitor of net.sock left");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "net.sock");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    Ok(())
}

async fn serve(
    mut stream: UnixStream,
    mut view: watch::Receiver<View>,
    orders: mpsc::Sender<Order>,
) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read.take(LINE_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        let text = serde_json::to_string(&*view.borrow_and_update())? + "\n";
        write.write_all(text.as_bytes()).await?;
        // Cancel safety: `read_until` keeps what it has read in `line`; a watch keeps its change.
        tokio::select! {
            length = read.read_until(b'\n', &mut line) => {
                if length? == 0 || line.last() != Some(&b'\n') {
                    return Ok(());
                }
                let order: Order = serde_json::from_slice(&line)?;
                line.clear();
                read.get_mut().set_limit(LINE_BYTES_MAX);
                if orders.send(order).await.is_err() {
                    return Ok(());
                }
            }
            changed = view.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}
