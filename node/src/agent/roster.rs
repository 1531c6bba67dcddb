//! The nodes of the cluster as people are shown them, and tokens for more of them.

use cluster::{Cluster, Member, Proposal};
use console::{Invitation, InviteError, MemberReach, MemberRole, MemberStatus, Unavailable};
use model::membership::JoinToken;
use model::{Command, NodeId, State, Timestamp};

use super::backend::NodeBackend;
use crate::peers::authority;
use crate::peers::key::fingerprint_of;
use crate::peers::token::Token;

/// Addresses in a token: enough to survive the loss of some nodes, short enough to be typed at a kernel line.
const TOKEN_ADDRESSES_MAX: usize = 5;

pub fn members(cluster: &Cluster) -> Vec<MemberStatus> {
    let (state, known) = (cluster.state(), cluster.members());
    let leader = cluster.leadership().borrow().leader;
    let one = |(id, member): (&NodeId, &std::sync::Arc<model::membership::Member>)| {
        let node = state.nodes.get(id);
        let reach = match (member.lost_since, node) {
            (Some(_), _) => MemberReach::Lost,
            (None, None) => MemberReach::Joining,
            (None, Some(_)) => MemberReach::Up,
        };
        MemberStatus {
            id: *id,
            name: node.map_or_else(|| id.to_string(), |node| node.name.clone()),
            addresses: member.addresses.clone(),
            role: role(*id, leader, &known, node.is_some()),
            reach,
            lost_since: member.lost_since,
            fenced_at: member.fenced_at,
            admitted_at: member.admitted_at,
            key_since: member.key_since.max(member.admitted_at),
            product_version: node.map(|node| node.product_version.clone()).unwrap_or_default(),
            tasks: tasks_on(&state, *id),
            availability: member.availability,
            losses: member.losses.clone(),
            attributes: node.map(|node| node.attributes.clone()).unwrap_or_default(),
            is_self: *id == cluster.node(),
        }
    };
    state.members.iter().map(one).collect()
}

fn role(id: NodeId, leader: Option<NodeId>, known: &[Member], has_come_up: bool) -> MemberRole {
    match known.iter().find(|known| known.node == id) {
        _ if leader == Some(id) => MemberRole::Leader,
        Some(known) if known.votes => MemberRole::Voter,
        Some(_) => MemberRole::Learner,
        None if has_come_up => MemberRole::Worker,
        None => MemberRole::New,
    }
}

pub fn tasks_on(state: &State, node: NodeId) -> usize {
    state.apps.values().map(|app| app.tasks.values().filter(|task| task.node == node).count()).sum()
}

/// The secret is drawn here and goes nowhere but into the answer.
pub async fn invite(backend: &NodeBackend, invitation: Invitation) -> Result<String, InviteError> {
    let Invitation { name, uses, expires_at, actor, origin } = invitation;
    let secret: [u8; 16] = rand::random();
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = JoinToken {
        name,
        secret_sha256: fingerprint_of(secret.as_bytes()),
        uses_left: uses,
        created_at: Timestamp::default(),
        expires_at,
    };
    let command = Command::PutJoinToken { token };
    let proposal = Proposal { actor, origin, request_id: None, expected_version: None, command };
    let applied = backend.submit(proposal).await.map_err(InviteError::Unavailable)?;
    applied.result.map_err(InviteError::Rejected)?;
    let authority = authority_fingerprint(&backend.cluster.state())?;
    Ok(Token { addresses: addresses(&backend.cluster), secret, authority }.to_line())
}

/// By which other nodes know this cluster.
pub fn authority_fingerprint(state: &State) -> Result<String, InviteError> {
    let failed = |reason: String| InviteError::Unavailable(Unavailable::Failed(reason));
    let authority = state.authority.as_ref();
    let authority = authority.ok_or_else(|| failed("the cluster takes in no nodes yet".to_owned()))?;
    let certificate = authority::certificate(&authority.certificate);
    Ok(fingerprint_of(&certificate.map_err(|error| failed(error.to_string()))?))
}

/// One address of each member, those of voters first.
fn addresses(cluster: &Cluster) -> Vec<std::net::SocketAddr> {
    let state = cluster.state();
    let mut known = cluster.members();
    known.sort_by_key(|member| !member.votes);
    let ids = known.iter().filter_map(|known| state.members.get(&known.node));
    ids.filter_map(|member| member.peers().first().copied()).take(TOKEN_ADDRESSES_MAX).collect()
}
