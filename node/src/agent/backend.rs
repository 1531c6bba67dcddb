//! The node behind the console and the APIs.

use std::sync::Arc;

use cluster::{Cluster, OUT_OF_TOUCH_MS, Proposal, ProposeError};
use console::adoption::{AdoptError, Adoptable, Adoption, UnclaimedNode};
use console::{
    Backend, BackupError, BackupFile, BackupWish, ClaimError, DnsStatus, Invitation, InviteError, JoinError,
    LeaderInfo, LogChunk, LogStream, LoginError, MemberStatus, NodeStatus, PasswordError, Power, Preparing,
    Prospects, RecoverError, Recovery, Request, Restoration, RestoreError, SandboxError, Unavailable,
};
use futures::stream::BoxStream;
use model::auth::{Actor, Role, SessionKey, User};
use model::backup::Key;
use model::command::Reject;
use model::membership::Authority;
use model::{Applied, ClusterId, Command, DeploymentId, Origin, State, TaskId};
use tokio::sync::watch;

use super::account;
use super::adopting::{self, Adoptee};
use super::backups;
use super::claim::{Claim, Logins};
use super::init_link::{InitLink, World};
use super::inspect::NodeInspector;
use super::joining::{self, Joining};
use super::logs::Logs;
use super::machine::{self, Machine};
use super::neighbours::Neighbours;
use super::recovering;
use super::roster;
use super::sandbox::NodeSandboxes;
use crate::api::auth::password;
use crate::dns::Dns;
use crate::init::protocol::ToInit;
use crate::peers::authority;
use crate::proxy;

/// Name of the account that a claim makes.
pub(super) const ADMINISTRATOR: &str = "admin";

pub struct NodeBackend {
    pub(super) cluster: Cluster,
    pub(super) init: InitLink,
    pub(super) machine: Arc<Machine>,
    pub(super) joining: Joining,
    pub(super) adoptee: Adoptee,
    pub(super) neighbours: Neighbours,
    pub(super) claim: Arc<Claim>,
    pub(super) logins: Logins,
    pub(super) logs: Logs,
    pub(super) sandboxes: NodeSandboxes,
    pub(super) inspector: NodeInspector,
    pub(super) preparing: watch::Receiver<Arc<Preparing>>,
    pub(super) dns: Dns,
    pub(super) balancer: proxy::Handle,
}

impl NodeBackend {
    pub(super) async fn submit(&self, proposal: Proposal) -> Result<Applied, Unavailable> {
        self.cluster.propose(proposal).await.map_err(unavailable)
    }
}

fn unavailable(error: ProposeError) -> Unavailable {
    match error {
        ProposeError::NoLeader => Unavailable::NoLeader("an election is under way".to_owned()),
        ProposeError::NoSpace { free, reserve } => {
            Unavailable::NoSpace(format!("{free} bytes are free, {reserve} are kept in reserve"))
        }
        ProposeError::TooLarge { limit } => Unavailable::TooLarge { limit },
        ProposeError::TimedOut | ProposeError::Unknown(_) => Unavailable::Unknown,
        ProposeError::Failed(text) => Unavailable::Failed(text),
    }
}

/// What failed while this node came up, how a role of it ended last, and what does not work now.
fn last_error(world: &World, dns: &str) -> String {
    let failed = world
        .phases
        .iter()
        .filter_map(|phase| phase.failure().map(|failure| format!("{}: {failure}", phase.name)));
    let ended = world.services.iter().filter(|service| !service.last_end.is_empty());
    let ended = ended.map(|service| format!("{}: {}", service.name, service.last_end));
    let names = Some(dns.to_owned()).filter(|fault| !fault.is_empty());
    let texts: Vec<String> = failed.chain(ended).chain(names).collect();
    texts.join("; ")
}

/// What was never heard since the start is as old as the state.
fn out_of_touch_s(cluster: &Cluster) -> Option<u64> {
    let state = cluster.state();
    if state.members.len() < 2 {
        return None;
    }
    let silent_ms = cluster.silent_ms().unwrap_or_else(|| cluster.now().ms_since(state.now));
    (silent_ms >= OUT_OF_TOUCH_MS).then_some(silent_ms / 1_000)
}

#[async_trait::async_trait]
impl Backend for NodeBackend {
    fn state(&self) -> Arc<State> {
        self.cluster.state()
    }

    fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.cluster.watch()
    }

    async fn read(&self) -> Result<Arc<State>, Unavailable> {
        self.cluster.read().await.map_err(|error| Unavailable::NoLeader(error.to_string()))
    }

    async fn propose(&self, request: Request) -> Result<Applied, Unavailable> {
        self.submit(Proposal {
            actor: request.actor,
            origin: request.origin,
            request_id: request.request_id,
            expected_version: request.expected_version,
            command: request.command,
        })
        .await
    }

    fn leader(&self) -> Option<LeaderInfo> {
        let leadership = *self.cluster.leadership().borrow();
        let node = leadership.leader?;
        let host = self.cluster.state().nodes.get(&node)?.addresses.first().copied()?;
        let address = std::net::SocketAddr::new(host, self.machine.http_port).to_string();
        Some(LeaderInfo { node, address, is_self: leadership.is_self })
    }

    fn fresh_deployment(&self) -> DeploymentId {
        DeploymentId(rand::random())
    }

    async fn claim(&self, code: &str, password: &str, origin: Origin) -> Result<(), ClaimError> {
        let _one_at_a_time = self.joining.lock.lock().await;
        if self.cluster.state().is_claimed() || self.joining.joined.is_cancelled() {
            return Err(ClaimError::AlreadyClaimed);
        }
        self.claim.check(code, &origin.client_ip)?;
        let lengths = model::limits::PASSWORD_BYTES_MIN..=model::limits::PASSWORD_BYTES_MAX;
        if !lengths.contains(&password.len()) {
            return Err(ClaimError::BadPassword);
        }
        let password_hash = password::hash_password(password.to_owned())
            .await
            .map_err(|error| ClaimError::Unavailable(Unavailable::Failed(error.to_string())))?;
        let admin = User {
            name: ADMINISTRATOR.to_owned(),
            password_hash,
            role: Role::Administrator,
            created_at: self.cluster.now(),
        };
        let key: [u8; 32] = rand::random();
        let session_key = SessionKey(key.iter().map(|byte| format!("{byte:02x}")).collect());
        let command = Command::Claim { cluster: ClusterId(rand::random()), admin, session_key };
        let proposal =
            Proposal { actor: Actor::Claimant, origin, request_id: None, expected_version: None, command };
        match self.submit(proposal).await.map_err(ClaimError::Unavailable)?.result {
            Ok(_) => Ok(()),
            Err(Reject::AlreadyClaimed) => Err(ClaimError::AlreadyClaimed),
            Err(other) => Err(ClaimError::Unavailable(Unavailable::Failed(other.to_string()))),
        }
    }

    async fn login(&self, name: &str, password: &str, client_ip: &str) -> Result<Actor, LoginError> {
        let user = self.cluster.state().users.get(name).cloned();
        self.logins.check(user.as_ref(), password, client_ip).await
    }

    async fn change_password(
        &self,
        name: &str,
        current: &str,
        new: &str,
        origin: Origin,
    ) -> Result<(), PasswordError> {
        account::change_password(self, &self.logins, name, (current, new), origin).await
    }

    fn unclaimed(&self) -> Vec<UnclaimedNode> {
        self.neighbours.unclaimed(&self.cluster.state())
    }

    async fn adopt(&self, adoption: Adoption) -> Result<(), AdoptError> {
        adopting::adopt(self, adoption).await
    }

    fn adoptable(&self) -> Option<&dyn Adoptable> {
        Some(self)
    }

    async fn join(&self, code: &str, token: &str, origin: Origin) -> Result<(), JoinError> {
        joining::join(self, code, token, &origin).await
    }

    async fn back_up(&self, wish: BackupWish) -> Result<BackupFile, BackupError> {
        backups::make(self, wish).await
    }

    async fn backup_key(&self, passphrase: String) -> Result<Key, Unavailable> {
        backups::key(passphrase).await.map_err(Unavailable::Failed)
    }

    async fn restore(&self, restoration: Restoration) -> Result<(), RestoreError> {
        backups::restore(self, restoration).await
    }

    async fn prospects(&self) -> Result<Prospects, RecoverError> {
        recovering::prospects(self).await
    }

    async fn recover(&self, recovery: Recovery) -> Result<(), RecoverError> {
        recovering::recover(self, recovery).await
    }

    fn members(&self) -> Vec<MemberStatus> {
        roster::members(&self.cluster)
    }

    async fn invite(&self, invitation: Invitation) -> Result<String, InviteError> {
        roster::invite(self, invitation).await
    }

    fn new_authority(&self) -> Result<Authority, Unavailable> {
        authority::create().map_err(|error| Unavailable::Failed(error.to_string()))
    }

    fn node(&self) -> NodeStatus {
        let state = self.cluster.state();
        let world = self.init.world().borrow().clone();
        let (memory, space) = (machine::memory(), self.machine.state_space());
        let name = state.nodes.get(&self.machine.node).map(|n| n.name.clone());
        NodeStatus {
            id: self.machine.node,
            name: name.unwrap_or_else(|| self.machine.node.to_string()),
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: machine::kernel(),
            addresses: self.machine.addresses(),
            resources: self.machine.resources(),
            used: machine::used(&state, self.machine.node),
            uptime_s: machine::uptime_s(),
            memory_total_kib: memory.total_kib,
            memory_available_kib: memory.available_kib,
            state_bytes_free: space.free,
            state_bytes_total: space.total,
            last_error: last_error(&world, &self.dns.listening().borrow().fault),
            out_of_touch_s: out_of_touch_s(&self.cluster),
            phases: world.phases,
            services: world.services,
            host: crate::net::host_status::read(&self.machine.host_file),
        }
    }

    fn preparing(&self) -> watch::Receiver<Arc<Preparing>> {
        self.preparing.clone()
    }

    fn dns(&self) -> DnsStatus {
        self.dns.status()
    }

    async fn read_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: Option<u64>,
        limit: usize,
    ) -> Result<LogChunk, SandboxError> {
        self.logs.read(task, stream, offset, limit).await
    }

    async fn follow_log(
        &self,
        task: &TaskId,
        stream: LogStream,
        offset: u64,
    ) -> Result<BoxStream<'static, LogChunk>, SandboxError> {
        self.logs.follow(task, stream, offset).await
    }

    async fn balancer(&self) -> console::BalancerStatus {
        self.balancer.status().await
    }

    fn balancer_faults(&self, app: &model::AppId) -> Vec<String> {
        self.balancer.faults(app)
    }

    fn balancer_moves(&self) -> BoxStream<'static, ()> {
        self.balancer.moves()
    }

    async fn power(&self, power: Power) -> Result<(), String> {
        if !self.init.world().borrow().connected {
            return Err("init does not answer".to_owned());
        }
        self.init.send(ToInit::Power { reboot: power == Power::Reboot }).await;
        Ok(())
    }

    fn sandboxes(&self) -> &dyn console::sandbox::Sandboxes {
        &self.sandboxes
    }

    fn inspector(&self) -> &dyn console::inspect::Inspector {
        &self.inspector
    }
}
