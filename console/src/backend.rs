//! What the console and the HTTP APIs need of a node. The node implements it; tests fake it.

mod account;
mod backup;
mod members;
mod recovery;

use crate::adoption::{AdoptError, Adoptable, Adoption, UnclaimedNode};
pub use account::PasswordError;
pub use backup::{
    BackupError, BackupFile, BackupWish, Passphrase, PlanError, PlanWish, Restoration, RestoreError,
};
pub use members::{Invitation, InviteError, JoinError, MemberReach, MemberRole, MemberStatus};
pub use recovery::{Gone, Prospects, RecoverError, Recovery};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::stream::{BoxStream, StreamExt};
use model::auth::Actor;
use model::backup::Key;
use model::ids::RequestId;
use model::membership::Authority;
use model::node::Resources;
use model::{AppId, Applied, Command, DeploymentId, NodeId, Origin, State, TaskId, Timestamp};
use tokio::sync::watch;

use crate::DnsStatus;
use crate::balancer::BalancerStatus;
use crate::inspect::{Inspector, NoInspector};
use crate::sandbox::{NoSandboxes, Sandboxes};

/// A command with what only the front door knows. The backend adds format and time.
#[derive(Debug, Clone)]
pub struct Request {
    pub actor: Actor,
    pub origin: Origin,
    pub request_id: Option<RequestId>,
    pub expected_version: Option<Timestamp>,
    pub command: Command,
}

/// Why a command has no answer. Everything but `Unknown` means that it was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("no leader: {0}")]
    NoLeader(String),
    #[error("no space left for the cluster's log: {0}")]
    NoSpace(String),
    #[error("the command is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("no answer in time; whether the command was applied is unknown")]
    Unknown,
    #[error("the cluster's log failed: {0}")]
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    #[error("the claim code is wrong")]
    WrongCode,
    #[error("too many wrong codes; try again in {seconds} s")]
    TooManyTries { seconds: u64 },
    #[error("this cluster is already claimed")]
    AlreadyClaimed,
    #[error("the password must have {min} to {max} characters", min = model::limits::PASSWORD_BYTES_MIN, max = model::limits::PASSWORD_BYTES_MAX)]
    BadPassword,
    #[error(transparent)]
    Unavailable(Unavailable),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("name or password is wrong")]
    Wrong,
    #[error("too many wrong passwords; try again in {seconds} s")]
    TooManyTries { seconds: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    #[error("there is no such file in the sandbox of this task")]
    NotFound,
    #[error("the sandbox of this task is on another node, which does not answer")]
    Elsewhere(NodeId),
    /// Links that lead outside, and whatever is neither file nor folder.
    #[error("this is not opened: {0}")]
    Refused(&'static str),
    #[error("too many archives are being made on this node; try again in a moment")]
    Busy,
    #[error("the sandbox cannot be read: {0}")]
    Io(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
}

/// A run of output. `offset` is the byte position of `data` in everything the task ever wrote to this stream, and so
/// a cursor that stays valid; `first_offset` is the oldest byte still kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    pub offset: u64,
    pub first_offset: u64,
    pub data: Vec<u8>,
}

impl LogChunk {
    /// Where the next read goes on.
    pub fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

/// One named step of the boot, with milliseconds since the kernel started.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BootPhase {
    pub name: String,
    pub start_ms: u64,
    /// `None` while it runs.
    pub end_ms: Option<u64>,
    /// Empty unless it failed (then it begins with `failed: `) or has something to say.
    pub note: String,
}

impl BootPhase {
    /// Why the phase failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.note.strip_prefix("failed: ")
    }
}

/// A role of this program on the node, as init supervises it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Service {
    pub name: String,
    pub pid: Option<i32>,
    pub restarts: u32,
    /// Why it ended last; empty if it never did.
    pub last_end: String,
}

/// What the answering node says of itself; never part of the replicated state.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NodeStatus {
    pub id: NodeId,
    pub name: String,
    pub product_version: String,
    pub kernel: String,
    pub addresses: Vec<IpAddr>,
    pub resources: Resources,
    pub used: Resources,
    pub uptime_s: u64,
    pub memory_total_kib: u64,
    pub memory_available_kib: u64,
    pub state_bytes_free: u64,
    pub state_bytes_total: u64,
    pub phases: Vec<BootPhase>,
    pub services: Vec<Service>,
    pub last_error: String,
    /// Since when, in seconds, it has heard of no majority of its cluster, so that what it shows may be old; `None` while
    /// it is in touch.
    #[serde(default)]
    pub out_of_touch_s: Option<u64>,
    #[serde(default)]
    pub host: crate::HostStatus,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderInfo {
    pub node: NodeId,
    /// `host:port` of its plain HTTP API.
    pub address: String,
    /// Whether the answering node leads.
    pub is_self: bool,
}

/// A sentence for each task that is being prepared.
pub type Preparing = std::collections::BTreeMap<TaskId, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Reboot,
    Off,
}

#[async_trait::async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The latest state this node has applied: fast, possibly stale.
    fn state(&self) -> Arc<State>;
    /// Wakes at each new state.
    fn watch(&self) -> watch::Receiver<Arc<State>>;
    /// A state that includes every write acknowledged before the call (a ReadIndex read).
    async fn read(&self) -> Result<Arc<State>, Unavailable>;
    /// Replicates a command and answers once it is durable and applied here.
    async fn propose(&self, request: Request) -> Result<Applied, Unavailable>;
    fn leader(&self) -> Option<LeaderInfo>;
    fn fresh_deployment(&self) -> DeploymentId;
    /// Cluster time now, for ages, countdowns and the end of sessions: this machine's clock, but never before the
    /// state.
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.state().now.max(Timestamp(since_epoch.as_millis() as u64))
    }

    /// Takes an unclaimed cluster: `admin` with `password` becomes its administrator.
    async fn claim(&self, code: &str, password: &str, origin: Origin) -> Result<(), ClaimError>;
    /// Checks a password; slow on purpose, limited per client address.
    async fn login(&self, name: &str, password: &str, client_ip: &str) -> Result<Actor, LoginError>;

    /// Gives `name` another password after a check of the one it has, which is as slow and limited as a login.
    async fn change_password(
        &self,
        name: &str,
        current: &str,
        new: &str,
        origin: Origin,
    ) -> Result<(), PasswordError> {
        let _ = (name, current, new, origin);
        Err(PasswordError::Unavailable(Unavailable::Failed("passwords cannot be changed here".into())))
    }

    /// Makes this unclaimed node a member of the cluster that made `token`; it starts anew then.
    async fn join(&self, code: &str, token: &str, origin: Origin) -> Result<(), JoinError> {
        let _ = (code, token, origin);
        Err(JoinError::Failed("nodes cannot join here".into()))
    }
    /// The cluster's state as a file.
    async fn back_up(&self, wish: BackupWish) -> Result<BackupFile, BackupError> {
        let _ = wish;
        Err(BackupError::Failed("backups cannot be made here".into()))
    }
    /// What locks the files of a schedule, made of a passphrase with fresh salt; slow on purpose.
    async fn backup_key(&self, passphrase: String) -> Result<Key, Unavailable> {
        let _ = passphrase;
        Err(Unavailable::Failed("backups cannot be made here".into()))
    }
    /// Makes this unclaimed node a cluster that goes on from a backup.
    async fn restore(&self, restoration: Restoration) -> Result<(), RestoreError> {
        let _ = restoration;
        Err(RestoreError::BadFile("backups are not taken in here".into()))
    }
    /// What giving up a lost majority would cost on this node.
    async fn prospects(&self) -> Result<Prospects, RecoverError> {
        Err(RecoverError::Alone)
    }
    /// Gives it up; this node starts anew and goes on alone.
    async fn recover(&self, recovery: Recovery) -> Result<(), RecoverError> {
        let _ = recovery;
        Err(RecoverError::Alone)
    }
    /// Unclaimed nodes of this network, as they announce themselves.
    fn unclaimed(&self) -> Vec<UnclaimedNode> {
        Vec::new()
    }
    /// Makes an unclaimed node a member of this cluster, by the code on its screen.
    async fn adopt(&self, adoption: Adoption) -> Result<(), AdoptError> {
        let _ = adoption;
        Err(AdoptError::Odd("nodes cannot be taken in here".into()))
    }
    /// What this node answers a member that takes it in.
    fn adoptable(&self) -> Option<&dyn Adoptable> {
        None
    }
    /// The nodes of the cluster by id; empty before it takes in others.
    fn members(&self) -> Vec<MemberStatus> {
        Vec::new()
    }
    /// Makes a join token: one line that lets nodes in, shown once.
    async fn invite(&self, invitation: Invitation) -> Result<String, InviteError> {
        let _ = invitation;
        Err(InviteError::Unavailable(Unavailable::Failed("nodes cannot be let in here".into())))
    }
    /// A certificate authority that nobody knows yet, to take the place of the cluster's.
    fn new_authority(&self) -> Result<Authority, Unavailable> {
        Err(Unavailable::Failed("certificates cannot be made here".into()))
    }
    fn node(&self) -> NodeStatus;
    /// What tasks of this node wait for before they run, e.g. how much of their image has come. Of this node only,
    /// never replicated; wakes when it reads differently, at most once a second.
    fn preparing(&self) -> watch::Receiver<Arc<Preparing>> {
        watch::channel(Arc::default()).1
    }
    fn dns(&self) -> DnsStatus {
        DnsStatus::of(&self.state(), self.node().id)
    }
    /// At most `limit` bytes of a task's output from `offset`; `None` for the last `limit` bytes.
    async fn read_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: Option<u64>,
        limit: usize,
    ) -> Result<LogChunk, SandboxError>;
    /// Output from `offset` on, as it is written; ends when the task has ended and all was sent.
    async fn follow_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: u64,
    ) -> Result<BoxStream<'static, LogChunk>, SandboxError>;
    /// The answering node's balancer, with figures of this moment.
    async fn balancer(&self) -> BalancerStatus {
        BalancerStatus::absent()
    }
    /// What labels and ports of an app do not get from it, in sentences.
    fn balancer_faults(&self, _app: &AppId) -> Vec<String> {
        Vec::new()
    }
    /// An item whenever what the balancer knows of itself or of an app is another than before.
    fn balancer_moves(&self) -> BoxStream<'static, ()> {
        futures::stream::empty().boxed()
    }
    /// Asks init; returns once it accepted.
    async fn power(&self, power: Power) -> Result<(), String>;
    /// The files and output of this node's tasks.
    fn sandboxes(&self) -> &dyn Sandboxes {
        &NoSandboxes
    }
    /// The machine beneath this node.
    fn inspector(&self) -> &dyn Inspector {
        &NoInspector
    }
}
