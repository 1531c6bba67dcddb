//! The agent's line to init: what init has (its *world*) as a watch, and orders as messages.
//!
//! Level-triggered: after every (re)connection init sends its whole world, so nothing is lost with a broken line.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use console::{BootPhase, Service};
use model::TaskId;
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::init::protocol::{ExitRecord, FORMAT, FromInit, PACKET_BYTES_MAX, Packet, TaskProcess, ToInit};

/// Everything init has told since the line was made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// False until init's first word on this line, and while the line is down: then nothing may be concluded from
    /// a task's absence.
    pub connected: bool,
    pub boot_id: String,
    /// Init is stopping everything: what ends now ends with the node, and nothing is to be started.
    pub going_down: bool,
    pub tasks: BTreeMap<TaskId, TaskProcess>,
    /// Ends that are not acknowledged yet.
    pub exits: BTreeMap<TaskId, ExitRecord>,
    /// Creations that failed, until they are acknowledged.
    pub failures: BTreeMap<TaskId, String>,
    pub phases: Vec<BootPhase>,
    pub services: Vec<Service>,
}

impl World {
    fn hear(&mut self, message: FromInit) {
        match message {
            FromInit::World { boot_id, tasks, exits, phases, services } => {
                self.connected = true;
                self.boot_id = boot_id;
                self.tasks = tasks.into_iter().map(|t| (t.task.clone(), t)).collect();
                self.exits = exits.into_iter().map(|e| (e.task.clone(), e)).collect();
                self.phases = phases;
                self.services = services;
            }
            FromInit::Created { task, pid } => {
                self.tasks.insert(task.clone(), TaskProcess { task, pid, stopping: false });
            }
            FromInit::CreateFailed { task, message } => {
                self.tasks.remove(&task);
                self.failures.insert(task, message);
            }
            FromInit::Exited(record) => {
                self.tasks.remove(&record.task);
                self.exits.insert(record.task.clone(), record);
            }
            FromInit::Node { phases, services } => {
                self.phases = phases;
                self.services = services;
            }
            FromInit::PowerAccepted | FromInit::Board(_) => {}
            FromInit::GoingDown => self.going_down = true,
        }
    }
}

/// Between two words to init that this program is alive.
const ALIVE: Duration = Duration::from_secs(5);

/// Orders waiting for the socket; init reads at once, so a full queue means that init hangs.
const QUEUE: usize = 1024;

#[derive(Debug, Clone)]
pub struct InitLink {
    orders: mpsc::Sender<ToInit>,
    world: watch::Sender<World>,
}

impl InitLink {
    pub fn world(&self) -> watch::Receiver<World> {
        self.world.subscribe()
    }

    /// Waits while the queue is full. Orders are lost when the line breaks; the loops give them again.
    pub async fn send(&self, message: ToInit) {
        if let ToInit::Stop { task, .. } = &message {
            // Init does not answer a stop, only the end that follows it.
            self.world.send_if_modified(|world| match world.tasks.get_mut(task) {
                Some(process) if !process.stopping => {
                    process.stopping = true;
                    true
                }
                _ => false,
            });
        }
        if self.orders.send(message).await.is_err() {
            tracing::warn!("the line to init is closed");
        }
    }

    /// Tells of a boot phase; dropped rather than waited for.
    pub fn phase(&self, name: &str, done: bool) {
        let message = ToInit::Phase { name: name.to_owned(), done, note: String::new() };
        if self.orders.try_send(message).is_err() {
            tracing::debug!(name, "phase not told");
        }
    }

    /// The agent itself could not make the task ready; init never heard of it.
    pub fn failed_to_create(&self, task: TaskId, message: String) {
        self.world.send_modify(|world| {
            world.failures.insert(task, message);
        });
    }

    /// The exit is durable in the cluster's log: init may forget it.
    pub async fn acknowledge(&self, task: TaskId) {
        self.world.send_modify(|world| {
            world.exits.remove(&task);
            world.failures.remove(&task);
        });
        self.send(ToInit::Acknowledge { task }).await;
    }
}

/// Keeps a line to init for as long as the agent lives.
pub fn connect(socket: PathBuf, shutdown: CancellationToken) -> InitLink {
    let (orders, queue) = mpsc::channel(QUEUE);
    let (world, _) = watch::channel(World::default());
    let link = InitLink { orders, world: world.clone() };
    tokio::spawn(keep(socket, world, queue, shutdown));
    link
}

async fn keep(
    path: PathBuf,
    world: watch::Sender<World>,
    mut queue: mpsc::Receiver<ToInit>,
    shutdown: CancellationToken,
) {
    loop {
        match open(&path) {
            Ok(line) => {
                let ended = tokio::select! {
                    ended = converse(&line, &world, &mut queue) => ended,
                    () = shutdown.cancelled() => return,
                };
                tracing::warn!(error = %ended, "the line to init broke");
                world.send_modify(|w| w.connected = false);
            }
            Err(error) => tracing::warn!(%error, path = %path.display(), "init does not answer"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// A line to init; the role `screen` has one of its own.
pub type Line = AsyncFd<OwnedFd>;

pub fn open(path: &Path) -> std::io::Result<Line> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    // SAFETY: the descriptor is owned by the value that is registered, and never replaced.
    Ok(unsafe { AsyncFd::register(fd)? })
}

/// Talks until the line breaks; the answer says how.
async fn converse(
    line: &Line,
    world: &watch::Sender<World>,
    queue: &mut mpsc::Receiver<ToInit>,
) -> std::io::Error {
    if let Err(error) = send(line, &ToInit::Hello { role: "agent".to_owned() }).await {
        return error;
    }
    let mut buffer = vec![0u8; PACKET_BYTES_MAX];
    let mut alive = tokio::time::interval(ALIVE);
    // Who was frozen says so once.
    alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Cancel safety: `receive` takes a packet only at its last await; `recv` of the queue is cancel safe.
        tokio::select! {
            received = receive(line, &mut buffer) => match received {
                Ok(message) => world.send_modify(|w| w.hear(message)),
                Err(error) => return error,
            },
            Some(message) = queue.recv() => if let Err(error) = send(line, &message).await {
                return error;
            },
            _ = alive.tick() => if let Err(error) = send(line, &ToInit::Alive).await {
                return error;
            },
        }
    }
}

pub async fn send(line: &Line, message: &ToInit) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(&Packet { format: FORMAT, message })?;
    loop {
        let mut guard = line.writable().await?;
        let sent =
            guard.try_io(|fd| Ok(socket::send(fd.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL).map(|_| ())?));
        if let Ok(result) = sent {
            return result;
        }
    }
}

/// Takes a packet only at its last await, so it may be dropped before.
pub async fn receive(line: &Line, buffer: &mut [u8]) -> std::io::Result<FromInit> {
    loop {
        let mut guard = line.readable().await?;
        let received = guard.try_io(|fd| Ok(socket::recv(fd.as_raw_fd(), buffer, MsgFlags::empty())?));
        match received {
            Ok(Ok(0)) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(length)) => {
                let packet: Packet<FromInit> = serde_json::from_slice(&buffer[..length])?;
                if packet.format != FORMAT {
                    return Err(std::io::Error::other(format!(
                        "init speaks format {}, this agent {FORMAT}",
                        packet.format
                    )));
                }
                return Ok(packet.message);
            }
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}
