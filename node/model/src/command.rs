//! What can be proposed to the log, and what applying it answers.

use serde::{Deserialize, Serialize};

use crate::app::AppSpec;
use crate::auth::{Actor, SessionKey, Token, User};
use crate::backup::{BUCKETS_FROM, BackupNote, Plan, Schedule};
use crate::ids::RequestId;
use crate::membership::{Applicant, Authority, Availability, JoinToken, NodeChange};
use crate::node::Node;
use crate::settings::SettingsChange;
use crate::state::{KEYS_FROM, SUCCESSION_FROM, State};
use crate::task::{KillReason, TaskUpdate};
use crate::{AppId, ClusterId, DeploymentId, NodeId, TaskId, Timestamp};

/// A command with what audit, deduplication and time need to know of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Format of this envelope and its command; see [`FORMAT`].
    pub format: u32,
    /// Present on requests that a client may retry: the same id is applied once and answered alike.
    pub request_id: Option<RequestId>,
    pub actor: Actor,
    pub origin: Origin,
    /// The proposer's cluster time. `apply` uses the later of this and the state's own.
    pub at: Timestamp,
    /// Apply only if the named app still has this version (optimistic concurrency), else [`Reject::VersionMoved`].
    pub expected_version: Option<Timestamp>,
    pub command: Command,
}

/// The envelope format written by this program. Raised only together with `State.feature_level`.
pub const FORMAT: u32 = 1;

/// The highest `State.feature_level` this program understands.
pub const FEATURE_LEVEL: u32 = 7;

/// An entry of the log that this program cannot apply. The node must stop: skipping it would fork the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this program knows command format {FORMAT} and feature level {FEATURE_LEVEL}; \
     the log has format {format} at level {feature_level}"
)]
pub struct UnknownFormat {
    pub format: u32,
    pub feature_level: u32,
}

impl Envelope {
    /// Must hold before [`crate::State::apply`]. `feature_level` is the state's, at the time of this entry.
    pub fn check_format(&self, feature_level: u32) -> Result<(), UnknownFormat> {
        let known = (1..=FORMAT).contains(&self.format) && feature_level <= FEATURE_LEVEL;
        if known { Ok(()) } else { Err(UnknownFormat { format: self.format, feature_level }) }
    }
}

impl Command {
    /// The `State.feature_level` from which on the command may be proposed.
    pub fn feature_level(&self) -> u32 {
        match self {
            Self::Found { .. }
            | Self::AdmitNode { .. }
            | Self::RemoveNode { .. }
            | Self::SetLost { .. }
            | Self::PutJoinToken { .. }
            | Self::DeleteJoinToken { .. } => 2,
            // A word that older programs do not know.
            Self::ChangeNode { change, .. } if change.availability == Some(Availability::Quarantined) => 4,
            Self::ChangeNode { .. } | Self::MoveTasks { .. } => 3,
            Self::Fence { .. }
            | Self::HookAnswered { .. }
            | Self::ChangeSettings { .. }
            | Self::Restore { .. }
            | Self::NoteBackup { .. }
            | Self::SetBackupSchedule { .. } => 4,
            Self::PlanBackups { .. } | Self::BackUpNow => BUCKETS_FROM,
            Self::RegisterKey { authority: Some(_), .. }
            | Self::ReplaceAuthority { .. }
            | Self::TrustAuthority { .. } => SUCCESSION_FROM,
            Self::RenewKeys { .. } | Self::RegisterKey { .. } => KEYS_FROM,
            // `Recover` is written by a program that knows it to a log that is nobody else's any more.
            _ => 1,
        }
    }

    /// The one app this command names, if any.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Self::PutApp { app, .. } => Some(&app.id),
            Self::RestartApp { app, .. } | Self::DeleteApp { app, .. } | Self::ResetDelay { app } => {
                Some(app)
            }
            _ => None,
        }
    }
}

/// Where a request came from, for events (`clientIp`, `uri`) and audit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    pub client_ip: String,
    pub uri: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// The first administrator takes the cluster. Fails once it is claimed.
    Claim {
        cluster: ClusterId,
        admin: User,
        session_key: SessionKey,
    },
    /// A node makes itself known, or reports that it booted or changed.
    RegisterNode {
        node: Node,
    },
    /// Creates or replaces an app's definition; starts deployment `deployment`.
    PutApp {
        app: Box<AppSpec>,
        mode: PutMode,
        deployment: DeploymentId,
        force: bool,
    },
    /// Restarts every instance by the upgrade strategy, as a new version of the same definition.
    RestartApp {
        app: AppId,
        deployment: DeploymentId,
        force: bool,
    },
    DeleteApp {
        app: AppId,
        deployment: DeploymentId,
        force: bool,
    },
    /// Ends the named tasks; with `scale`, the app also wants that many instances fewer.
    KillTasks {
        tasks: Vec<TaskId>,
        scale: bool,
        deployment: DeploymentId,
        force: bool,
    },
    /// Forgets the back-off of an app, so that it launches at once.
    ResetDelay {
        app: AppId,
    },
    /// The leader's decisions, made on the state at log index `based_on`.
    ApplyPlan {
        based_on: u64,
        actions: Vec<Action>,
    },
    /// What a node saw, batched.
    Report {
        node: NodeId,
        updates: Vec<TaskUpdate>,
    },
    /// Gives a user another password; their sessions end.
    SetPassword {
        user: String,
        password_hash: String,
    },
    /// A new API token. Only its hash comes in.
    PutToken {
        token: Token,
    },
    DeleteToken {
        name: String,
    },
    /// Ends all sessions.
    RotateSessionKey {
        session_key: SessionKey,
    },
    /// Makes the claimed cluster able to take in nodes; `first` is the one that leads it. Asking again changes nothing.
    Found {
        authority: Authority,
        first: Applicant,
    },
    /// Lets in a node that showed the secret of a join token.
    AdmitNode {
        applicant: Applicant,
        secret_sha256: String,
    },
    /// Forgets a member for ever.
    RemoveNode {
        node: NodeId,
    },
    /// The leader hears nothing of a node any more (`lost`), or hears of it again.
    SetLost {
        node: NodeId,
        lost: bool,
    },
    /// Nothing exclusive runs on a node any more that is lost since `lost_since`; see [`crate::lease`].
    Fence {
        node: NodeId,
        lost_since: Timestamp,
    },
    /// What came of asking for a lost node to be powered off: without an error it is, and counts as fenced.
    HookAnswered {
        node: NodeId,
        lost_since: Timestamp,
        error: Option<String>,
    },
    ChangeSettings {
        change: SettingsChange,
    },
    /// The operator gives a member another name or attributes, or says whether it is given tasks.
    ChangeNode {
        node: NodeId,
        change: NodeChange,
    },
    /// The operator wants members to make new keys.
    RenewKeys {
        nodes: Vec<NodeId>,
    },
    /// A member has made a new key, at `since` of cluster time, and shows it from now on.
    RegisterKey {
        node: NodeId,
        fingerprint: String,
        since: Timestamp,
        /// Number of the authority that certified it, if that is the present one; `None` also before
        /// [`SUCCESSION_FROM`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority: Option<u32>,
    },
    /// Another authority is to take the place of the present one; see [`crate::membership::Succession`].
    ReplaceAuthority {
        next: Authority,
    },
    /// A member trusts the coming authority of that number, and has written it down.
    TrustAuthority {
        node: NodeId,
        number: u32,
    },
    /// The named tasks are to be replaced on other nodes; with `cancel` they are to stay after all.
    MoveTasks {
        tasks: Vec<TaskId>,
        cancel: bool,
    },
    PutJoinToken {
        token: JoinToken,
    },
    DeleteJoinToken {
        name: String,
    },
    /// A blank node goes on from a backup, as a new cluster of one. `admin`, if given, takes the place of the user of
    /// that name.
    Restore {
        cluster: ClusterId,
        backup: Box<State>,
        admin: Option<User>,
        session_key: SessionKey,
    },
    /// The majority is lost for good: `survivor` goes on alone, every other member is removed.
    Recover {
        survivor: NodeId,
    },
    /// A backup was made, or failed.
    NoteBackup {
        note: BackupNote,
    },
    /// Backups by themselves as programs before [`BUCKETS_FROM`] ask for them, or none any more.
    SetBackupSchedule {
        schedule: Option<Schedule>,
    },
    /// Backups by themselves. The first one is due at once.
    PlanBackups {
        plan: Box<Plan>,
    },
    /// The next backup by schedule is due at once.
    BackUpNow,
    /// All members support `level`: commands of that level may be proposed from now on.
    RaiseFeatureLevel {
        level: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PutMode {
    /// POST: the app must not exist.
    Create,
    /// PUT: create or replace.
    Upsert,
    /// PATCH: the app must exist.
    Update,
}

/// One decision of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Action {
    Launch {
        app: AppId,
        version: Timestamp,
        task: TaskId,
        node: NodeId,
        ports: Vec<u16>,
    },
    Kill {
        task: TaskId,
        reason: KillReason,
    },
    /// Another task is to run in the place of this one, whose node does not answer; it stays known.
    Inactivate {
        task: TaskId,
    },
    /// The task counts as lost, because its node does not answer.
    Expunge {
        task: TaskId,
    },
    /// The deployment reached its goal.
    FinishDeployment {
        deployment: DeploymentId,
    },
    /// Why an app's instances wait, shown to people; proposed only when it changes. Empty text: nothing waits.
    Waiting {
        app: AppId,
        reason: String,
    },
}

/// The answer of the log to one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Log index at which the command was applied; later states include it.
    pub index: u64,
    pub result: Result<Outcome, Reject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// A deployment was started, or (`changed == false`) nothing differed from what is.
    Deployed {
        deployment: DeploymentId,
        version: Timestamp,
        created: bool,
        changed: bool,
    },
    /// The tasks that were sentenced.
    Killed {
        tasks: Vec<TaskId>,
        deployment: Option<DeploymentId>,
    },
}

/// Why a well-formed command was not applied. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "reject", rename_all = "snake_case")]
pub enum Reject {
    #[error("the cluster is already claimed")]
    AlreadyClaimed,
    #[error("the cluster is not claimed yet")]
    NotClaimed,
    #[error("An app with id [{app}] already exists.")]
    AppExists { app: AppId },
    #[error("App '{app}' does not exist")]
    AppUnknown { app: AppId },
    #[error("App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/{}'.", deployments.first().map(ToString::to_string).unwrap_or_default())]
    AppLocked { deployments: Vec<DeploymentId> },
    #[error("the app is now at version {current}, not {expected}")]
    VersionMoved { expected: Timestamp, current: Timestamp },
    #[error("the plan was made on index {based_on}, but {what} changed since")]
    StalePlan { based_on: u64, what: String },
    #[error("node {node} is not a member")]
    NodeUnknown { node: NodeId },
    #[error(
        "this needs feature level {needed}, and not every node has been upgraded yet: the cluster is at {level}"
    )]
    FeatureLevel { needed: u32, level: u32 },
    #[error("the limit of {limit} {what} is reached")]
    Limit { limit: u64, what: String },
    /// A rule that needs the whole state to check; `path` as in API error bodies.
    #[error("{path}: {message}")]
    Invalid { path: String, message: String },
}
