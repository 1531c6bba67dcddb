//! The role that talks to a person in front of the machine: shows the node's board on every console of the kernel,
//! takes keys, and has network changes tried or the power switched. It owns no state: when it dies init starts it
//! anew, and everything it shows is told again.
//!
//! Init must not wait for a terminal nor read what comes from one; so this is a process of its own.

mod form;
mod keys;
mod layout;
mod qr;
mod terminal;
mod ui;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use crate::Exit;
use crate::agent::init_link;
use crate::config::Paths;
use crate::init::board::Shown;
use crate::init::clock;
use crate::init::protocol::{FromInit, PACKET_BYTES_MAX, ToInit};
use crate::net::control::{Order, View};
use keys::Key;
use terminal::{Kind, Terminal};
use ui::{Action, Known, Session};

/// Changes within this time are shown together: a boot has many, and a serial line is slow.
const TOGETHER: Duration = Duration::from_millis(150);
const AGAIN: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
const KEYS_MAX: usize = 64;
const ORDERS_MAX: usize = 8;
const VIEW_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
}

pub fn run(args: Args) -> Exit {
    let _ =
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).try_init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return Exit::TryAgain;
        }
    };
    runtime.block_on(serve(args.paths))
}

/// One console and its conversation.
struct Screen {
    terminal: Terminal,
    session: Session,
    /// A serial line shows a dialog in place of the block.
    is_drawn: bool,
}

struct Screens {
    screens: Vec<Screen>,
    known: Known,
    /// What serial lines were given last, to say nothing twice.
    printed: String,
}

async fn serve(paths: Paths) -> Exit {
    let (key_sender, mut keys) = mpsc::channel(KEYS_MAX);
    let mut screens = Vec::new();
    for (number, name) in terminal::active().iter().enumerate() {
        match Terminal::open(name, number, key_sender.clone()) {
            Ok(terminal) => {
                screens.push(Screen { terminal, session: Session::default(), is_drawn: false });
            }
            Err(error) => tracing::warn!(name, %error, "a console without keys"),
        }
    }
    let (board_sender, mut board) = watch::channel(Shown::default());
    let (to_init, init_orders) = mpsc::channel(ORDERS_MAX);
    tokio::spawn(keep_init(paths.init_socket(), board_sender, init_orders));
    let (view_sender, mut view) = watch::channel(View::default());
    let (to_net, net_orders) = mpsc::channel(ORDERS_MAX);
    tokio::spawn(keep_net(paths.net_socket(), view_sender, net_orders));

    let mut screens = Screens { screens, known: Known::default(), printed: String::new() };
    let mut due: Option<Pin<Box<tokio::time::Sleep>>> = None;
    loop {
        let counts = screens.known.net.trial_until_ms.is_some();
        // Every arm is cancel-safe: channels and watches keep what was not taken, sleeps are kept or have no state.
        tokio::select! {
            Ok(()) = board.changed() => {
                screens.known.board = board.borrow_and_update().clone();
                due.get_or_insert_with(|| Box::pin(tokio::time::sleep(TOGETHER)));
            }
            Ok(()) = view.changed() => {
                screens.known.net = view.borrow_and_update().clone();
                due.get_or_insert_with(|| Box::pin(tokio::time::sleep(TOGETHER)));
            }
            Some((number, key)) = keys.recv() => match screens.key(number, key) {
                Some(Action::Power { reboot }) => {
                    let _ = to_init.send(ToInit::Power { reboot }).await;
                }
                Some(Action::Net(order)) => {
                    let _ = to_net.send(order).await;
                }
                None => {}
            },
            () = until(&mut due) => {
                due = None;
                screens.show();
            }
            () = tokio::time::sleep(SECOND), if counts => screens.show(),
        }
    }
}

async fn until(due: &mut Option<Pin<Box<tokio::time::Sleep>>>) {
    match due {
        Some(sleep) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}

impl Screens {
    fn key(&mut self, number: usize, key: Key) -> Option<Action> {
        let screen = self.screens.get_mut(number)?;
        let action = screen.session.key(key, &self.known);
        screen.show(&self.known, None);
        action
    }

    fn show(&mut self) {
        let block = layout::block(&self.known.board);
        let news = (block != self.printed).then_some(block.as_str());
        for screen in &mut self.screens {
            screen.show(&self.known, news);
        }
        self.printed = block;
    }
}

impl Screen {
    /// `news`: the block, if it changed.
    fn show(&mut self, known: &Known, news: Option<&str>) {
        let is_busy = self.session.is_busy(known);
        if self.terminal.kind == Kind::Video || is_busy {
            self.terminal.show(frame(&self.terminal, &self.session, known));
            self.is_drawn = is_busy;
            return;
        }
        let back = std::mem::take(&mut self.is_drawn).then(|| layout::block(&known.board));
        if let Some(block) = back.or_else(|| news.map(str::to_owned)) {
            self.terminal.show(block.into_bytes());
        }
    }
}

/// A whole screen drawn in place: home, each line with its rest cleared, then everything below.
fn frame(terminal: &Terminal, session: &Session, known: &Known) -> Vec<u8> {
    let (columns, rows) = terminal.size();
    // The last column of the last row would scroll some terminals.
    let lines = session.draw(known, clock::now(), columns.saturating_sub(1), rows.saturating_sub(1));
    let mut out = String::from("\x1b[H");
    for line in lines {
        out.push_str(&line);
        out.push_str("\x1b[K\n");
    }
    // Nor is there a cursor to look at, and the screen does not go dark: it is read when something is wrong.
    out.push_str("\x1b[J\x1b[?25l");
    if terminal.kind == Kind::Video {
        out.push_str("\x1b[9;0]");
    }
    out.into_bytes()
}

// === The other roles ===

/// A line to init for as long as this role lives.
async fn keep_init(
    path: std::path::PathBuf,
    board: watch::Sender<Shown>,
    mut orders: mpsc::Receiver<ToInit>,
) {
    loop {
        let ended = match init_link::open(&path) {
            Ok(line) => converse_with_init(&line, &board, &mut orders).await,
            Err(error) => error,
        };
        tracing::debug!(error = %ended, "init does not answer");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn converse_with_init(
    line: &init_link::Line,
    board: &watch::Sender<Shown>,
    orders: &mut mpsc::Receiver<ToInit>,
) -> io::Error {
    if let Err(error) = init_link::send(line, &ToInit::Hello { role: "screen".to_owned() }).await {
        return error;
    }
    let mut buffer = vec![0u8; PACKET_BYTES_MAX];
    loop {
        // Cancel safety: `receive` takes a packet only at its last await; `recv` of the queue is cancel safe.
        tokio::select! {
            received = init_link::receive(line, &mut buffer) => match received {
                Ok(FromInit::Board(shown)) => {
                    board.send_replace(shown);
                }
                Ok(_) => {}
                Err(error) => return error,
            },
            Some(order) = orders.recv() => if let Err(error) = init_link::send(line, &order).await {
                return error;
            },
        }
    }
}

/// The same to the network role.
async fn keep_net(path: std::path::PathBuf, view: watch::Sender<View>, mut orders: mpsc::Receiver<Order>) {
    loop {
        if let Err(error) = converse_with_net(&path, &view, &mut orders).await {
            tracing::debug!(%error, "the network role does not answer");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn converse_with_net(
    path: &Path,
    view: &watch::Sender<View>,
    orders: &mut mpsc::Receiver<Order>,
) -> io::Result<()> {
    let mut stream = UnixStream::connect(path).await?;
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read.take(VIEW_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        // Cancel safety: `read_until` keeps what it has read in `line`; `recv` of the queue is cancel safe.
        tokio::select! {
            length = read.read_until(b'\n', &mut line) => {
                if length? == 0 || line.last() != Some(&b'\n') {
                    return Ok(());
                }
                view.send_replace(serde_json::from_slice(&line)?);
                line.clear();
                read.get_mut().set_limit(VIEW_BYTES_MAX);
            }
            Some(order) = orders.recv() => {
                let text = serde_json::to_string(&order)? + "\n";
                write.write_all(text.as_bytes()).await?;
            }
        }
    }
}
